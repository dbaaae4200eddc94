/**
 * A small neural language model of characters, trained with Adam: the last characters, each as a vector, go through one
 * hidden layer and give the odds of the next (Bengio et al., 2003). About 23,000 weights, all in one array.
 */

/** Everything else is read as a blank. */
export const ALPHABET = '\n abcdefghijklmnopqrstuvwxyz0123456789.,;:!?\'"-';
export const CONTEXT = 16;
const [WIDTH, HIDDEN] = [12, 96];
const SYMBOLS = ALPHABET.length;
const INPUT = CONTEXT * WIDTH;
const [LEARNING_RATE, BETA1, BETA2, EPSILON] = [0.003, 0.9, 0.999, 1e-8];

const OFFSETS = {
  embedding: 0,
  hidden: SYMBOLS * WIDTH,
  hiddenBias: SYMBOLS * WIDTH + INPUT * HIDDEN,
  output: SYMBOLS * WIDTH + INPUT * HIDDEN + HIDDEN,
  outputBias: SYMBOLS * WIDTH + INPUT * HIDDEN + HIDDEN + HIDDEN * SYMBOLS,
};
export const WEIGHTS = OFFSETS.outputBias + SYMBOLS;

/** Numbers from 0 to 1 that are the same for the same seed (Mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function encode(text: string): Uint8Array {
  const plain = text.toLowerCase().replaceAll(/[‘’]/g, "'").replaceAll(/[“”]/g, '"').replaceAll(/[–—]/g, '-');
  return Uint8Array.from(plain, (char) => {
    const symbol = ALPHABET.indexOf(char);
    return symbol < 0 ? ALPHABET.indexOf(' ') : symbol;
  });
}

export class Model {
  readonly weights: Float32Array;
  readonly #input = new Float32Array(INPUT);
  readonly #hidden = new Float32Array(HIDDEN);
  readonly #odds = new Float32Array(SYMBOLS);

  constructor(weights: Float32Array) {
    if (weights.length !== WEIGHTS) throw new TypeError(`a model has ${WEIGHTS} weights, not ${weights.length}`);
    this.weights = weights;
  }

  static fresh(seed: number): Model {
    const random = randomFrom(seed);
    const weights = new Float32Array(WEIGHTS);
    const spread = (from: number, to: number, scale: number): void => {
      for (let i = from; i < to; i++) weights[i] = (random() * 2 - 1) * scale;
    };
    spread(OFFSETS.embedding, OFFSETS.hidden, 0.5);
    spread(OFFSETS.hidden, OFFSETS.hiddenBias, 1 / Math.sqrt(INPUT));
    spread(OFFSETS.output, OFFSETS.outputBias, 1 / Math.sqrt(HIDDEN));
    return new Model(weights);
  }

  /** Odds of each symbol after the `CONTEXT` symbols before `at`. The array is used again by the next call. */
  odds(text: Uint8Array, at: number): Float32Array {
    const { weights } = this;
    const [input, hidden, odds] = [this.#input, this.#hidden, this.#odds];
    for (let c = 0; c < CONTEXT; c++) {
      const symbol = text[at - CONTEXT + c] ?? 0;
      for (let d = 0; d < WIDTH; d++) input[c * WIDTH + d] = weights[symbol * WIDTH + d]!;
    }
    hidden.set(weights.subarray(OFFSETS.hiddenBias, OFFSETS.output));
    for (let i = 0, w = OFFSETS.hidden; i < INPUT; i++) {
      const value = input[i]!;
      for (let h = 0; h < HIDDEN; h++, w++) hidden[h]! += value * weights[w]!;
    }
    for (let h = 0; h < HIDDEN; h++) hidden[h] = Math.tanh(hidden[h]!);
    odds.set(weights.subarray(OFFSETS.outputBias));
    for (let h = 0, w = OFFSETS.output; h < HIDDEN; h++) {
      const value = hidden[h]!;
      for (let s = 0; s < SYMBOLS; s++, w++) odds[s]! += value * weights[w]!;
    }
    let [most, sum] = [odds[0]!, 0];
    for (let s = 1; s < SYMBOLS; s++) most = Math.max(most, odds[s]!);
    for (let s = 0; s < SYMBOLS; s++) sum += odds[s] = Math.exp(odds[s]! - most);
    for (let s = 0; s < SYMBOLS; s++) odds[s]! /= sum;
    return odds;
  }

  /** Adds the gradient of one prediction, and gives its loss in nats. */
  learn(text: Uint8Array, at: number, wanted: number, gradient: Float32Array): number {
    const { weights } = this;
    const odds = this.odds(text, at);
    const [input, hidden] = [this.#input, this.#hidden];
    const loss = -Math.log(Math.max(odds[wanted]!, 1e-9));
    odds[wanted]! -= 1;
    for (let s = 0; s < SYMBOLS; s++) gradient[OFFSETS.outputBias + s]! += odds[s]!;
    for (let h = 0, w = OFFSETS.output; h < HIDDEN; h++) {
      const value = hidden[h]!;
      let back = 0;
      for (let s = 0; s < SYMBOLS; s++, w++) {
        gradient[w]! += value * odds[s]!;
        back += weights[w]! * odds[s]!;
      }
      // The derivative of tanh.
      hidden[h] = back * (1 - value * value);
      gradient[OFFSETS.hiddenBias + h]! += hidden[h]!;
    }
    for (let i = 0, w = OFFSETS.hidden; i < INPUT; i++) {
      const value = input[i]!;
      let back = 0;
      for (let h = 0; h < HIDDEN; h++, w++) {
        gradient[w]! += value * hidden[h]!;
        back += weights[w]! * hidden[h]!;
      }
      const symbol = text[at - CONTEXT + Math.floor(i / WIDTH)] ?? 0;
      gradient[symbol * WIDTH + (i % WIDTH)]! += back;
    }
    return loss;
  }

  /** Mean loss in nats over up to `most` predictions, spread over the text. */
  loss(text: Uint8Array, most = 1_000): number {
    const step = Math.max(1, Math.floor((text.length - CONTEXT) / most));
    let [sum, count] = [0, 0];
    for (let at = CONTEXT; at < text.length; at += step) {
      sum -= Math.log(Math.max(this.odds(text, at)[text[at]!]!, 1e-9));
      count++;
    }
    return sum / Math.max(count, 1);
  }

  /** Goes on from a text until a line ends or `most` symbols are there. */
  write(from: string, random: () => number, { most = 160, temperature = 0.5 } = {}): string {
    const symbols = [...encode(`${'\n'.repeat(CONTEXT)}${from}`)];
    let said = '';
    while (said.length < most) {
      const odds = this.odds(Uint8Array.from(symbols.slice(-CONTEXT)), CONTEXT);
      let sum = 0;
      const cooled = Array.from(odds, (share) => {
        const value = share ** (1 / temperature);
        sum += value;
        return value;
      });
      let left = random() * sum;
      let symbol = cooled.findIndex((share) => {
        left -= share;
        return left < 0;
      });
      if (symbol < 0) symbol = 0;
      if (ALPHABET[symbol] === '\n' && said.trim() !== '') break;
      symbols.push(symbol);
      said += ALPHABET[symbol];
    }
    return said.trim();
  }
}

/** Adam's memory of the gradients of one run. */
export class Adam {
  readonly #mean = new Float32Array(WEIGHTS);
  readonly #square = new Float32Array(WEIGHTS);
  #steps = 0;

  /** `gradient` is of one step and is emptied. */
  step(weights: Float32Array, gradient: Float32Array, examples: number, rate = LEARNING_RATE): void {
    this.#steps++;
    const [fix1, fix2] = [1 - BETA1 ** this.#steps, 1 - BETA2 ** this.#steps];
    for (let i = 0; i < WEIGHTS; i++) {
      const g = gradient[i]! / examples;
      const mean = BETA1 * this.#mean[i]! + (1 - BETA1) * g;
      const square = BETA2 * this.#square[i]! + (1 - BETA2) * g * g;
      this.#mean[i] = mean;
      this.#square[i] = square;
      weights[i]! -= (rate * (mean / fix1)) / (Math.sqrt(square / fix2) + EPSILON);
      gradient[i] = 0;
    }
  }
}
