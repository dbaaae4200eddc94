/**
 * The seven phases of the Agent Forge, each of which really changes the model, on the scale of a laptop:
 *
 *   cognate      begins: learns characters of tales from nothing
 *   evomerge     evolution: children that learned apart are merged; the fittest go on
 *   quietstar    learns to go on from what it would have said itself
 *   bitnet       learns with weights of three values, -s, 0 and s
 *   forge        learns to converse, and does not forget the tales
 *   baking       learns its persona: what the village says counts most
 *   compression  drops the smaller half of the weights, learns again, and packs each into a byte
 */
import { Adam, CONTEXT, encode, Model, randomFrom, WEIGHTS } from './model.ts';

export const PHASES = ['cognate', 'evomerge', 'quietstar', 'bitnet', 'forge', 'baking', 'compression'] as const;
export type Phase = (typeof PHASES)[number];

/** Predictions for each sequence of a batch. */
const SEQUENCE = 16;
const [CHILDREN, GENERATIONS, FITNESS_SAMPLE] = [4, 3, 300];
const OWN_WORDS = 0.2;
const [TALES_KEPT, REPLIES] = [0.3, 0.6];
/** Phases whose text is the dialogues. */
const TALKING: readonly Phase[] = ['forge', 'baking', 'compression'];

export interface Training {
  readonly phase: Phase;
  /** Null only for `cognate`. */
  readonly base: Model | null;
  readonly tales: string;
  readonly dialogues: string;
  readonly maxSteps: number;
  readonly batchSize: number;
  readonly seed: number;
  /** Called after each step. */
  report(step: number, loss: number): void;
}

export interface Trained {
  readonly model: Model;
  /** Nats for each character of text that was not learned from, before and after. */
  readonly lossBefore: number;
  readonly loss: number;
  /** Bytes in which the model can be kept. */
  readonly size: number;
}

export function train(training: Training): Trained {
  const { phase, tales, dialogues, seed } = training;
  const all = encode(TALKING.includes(phase) ? dialogues : tales);
  // The last tenth is only looked at to see how well it goes.
  const cut = Math.floor(all.length * 0.9);
  const [known, unseen] = [all.subarray(0, cut), all.subarray(cut)];
  if (phase !== 'cognate' && training.base === null) throw new TypeError(`${phase} needs a model to begin with`);
  const begin = training.base ?? Model.fresh(seed);
  const lossBefore = begin.loss(unseen);
  const model = new Model(begin.weights.slice());
  const run = new Run(training, known, encode(tales).subarray(0, 200_000));
  const size = run[phase](model, unseen);
  return { model, lossBefore, loss: model.loss(unseen), size };
}

class Run {
  readonly #training: Training;
  readonly #text: Uint8Array;
  readonly #tales: Uint8Array;
  readonly #random: () => number;
  readonly #gradient = new Float32Array(WEIGHTS);
  #steps = 0;

  constructor(training: Training, text: Uint8Array, tales: Uint8Array) {
    this.#training = training;
    this.#text = text;
    this.#tales = tales;
    this.#random = randomFrom(training.seed);
  }

  cognate(model: Model): number {
    return this.#learn(model, this.#training.maxSteps);
  }

  evomerge(model: Model, unseen: Uint8Array): number {
    const each = Math.max(1, Math.floor(this.#training.maxSteps / (CHILDREN * GENERATIONS)));
    for (let generation = 0; generation < GENERATIONS; generation++) {
      const children = Array.from({ length: CHILDREN }, () => new Model(model.weights.slice()));
      for (const child of children) this.#learn(child, each);
      const [first, second] = byFitness(children, unseen);
      const merged = new Model(first!.weights.map((weight, i) => (weight + second!.weights[i]!) / 2));
      model.weights.set(byFitness([merged, first!, model], unseen)[0]!.weights);
    }
    return WEIGHTS * 4;
  }

  quietstar(model: Model): number {
    return this.#learn(model, this.#training.maxSteps, { ownWords: OWN_WORDS });
  }

  bitnet(model: Model): number {
    const { maxSteps } = this.#training;
    const adam = new Adam();
    // Steps change the weights as they are; what is learned from is what three values make of them.
    const exact = model.weights.slice();
    for (let step = 0; step < maxSteps; step++) {
      model.weights.set(ternary(exact));
      const { loss, examples } = this.#batch(model, 0);
      adam.step(exact, this.#gradient, examples);
      this.#report(loss);
    }
    model.weights.set(ternary(exact));
    return Math.ceil(WEIGHTS / 4);
  }

  forge(model: Model): number {
    return this.#learn(model, this.#training.maxSteps, { talesKept: TALES_KEPT });
  }

  baking(model: Model): number {
    return this.#learn(model, this.#training.maxSteps, { replies: REPLIES });
  }

  compression(model: Model): number {
    const sorted = model.weights.map(Math.abs).sort();
    const least = sorted[WEIGHTS >> 1]!;
    const kept = Uint8Array.from(model.weights, (weight) => Number(Math.abs(weight) >= least));
    for (let i = 0; i < WEIGHTS; i++) model.weights[i]! *= kept[i]!;
    this.#learn(model, this.#training.maxSteps, { kept, talesKept: TALES_KEPT });
    let most = 0;
    for (const weight of model.weights) most = Math.max(most, Math.abs(weight));
    for (let i = 0; i < WEIGHTS; i++) model.weights[i] = (Math.round((model.weights[i]! / most) * 127) * most) / 127;
    // One bit each says which are there.
    return Math.ceil(WEIGHTS / 8) + kept.reduce((sum, one) => sum + one, 0);
  }

  #learn(model: Model, steps: number, how: How = {}): number {
    const adam = new Adam();
    for (let step = 0; step < steps; step++) {
      const { loss, examples } = this.#batch(model, how.ownWords ?? 0, how);
      adam.step(model.weights, this.#gradient, examples);
      if (how.kept !== undefined) for (let i = 0; i < WEIGHTS; i++) model.weights[i]! *= how.kept[i]!;
      this.#report(loss);
    }
    return WEIGHTS * 4;
  }

  #batch(model: Model, ownWords: number, { talesKept = 0, replies = 0 }: How = {}) {
    let [loss, examples] = [0, 0];
    for (let sequence = 0; sequence < this.#training.batchSize; sequence++) {
      const source = this.#random() < talesKept ? this.#tales : this.#text;
      const start =
        replies > 0 && this.#random() < replies
          ? this.#replyStart()
          : CONTEXT + this.#at(source.length - CONTEXT - SEQUENCE);
      const text = source.slice(start - CONTEXT, start + SEQUENCE);
      for (let at = CONTEXT; at < text.length; at++) {
        const wanted = text[at]!;
        loss += model.learn(text, at, wanted, this.#gradient);
        examples++;
        // What it would have said stands in the text that follows.
        if (ownWords > 0 && this.#random() < ownWords) text[at] = likeliest(model.odds(text, at));
      }
    }
    return { loss: loss / Math.max(examples, 1), examples: Math.max(examples, 1) };
  }

  /** Somewhere behind `village:` in the same line. */
  #replyStart(): number {
    const from = CONTEXT + this.#at(this.#text.length - CONTEXT - SEQUENCE);
    const found = indexOf(this.#text, REPLY, from);
    const start = (found < 0 ? indexOf(this.#text, REPLY, 0) : found) + REPLY.length;
    return Math.min(Math.max(start + this.#at(SEQUENCE), CONTEXT), this.#text.length - SEQUENCE);
  }

  #at(length: number): number {
    return Math.floor(this.#random() * Math.max(length, 1));
  }

  #report(loss: number): void {
    this.#steps++;
    this.#training.report(Math.min(this.#steps, this.#training.maxSteps), loss);
  }
}

/** The fittest first: those that lose least on text that was not learned from. */
function byFitness(models: readonly Model[], unseen: Uint8Array): Model[] {
  return models
    .map((model) => ({ model, loss: model.loss(unseen, FITNESS_SAMPLE) }))
    .sort((a, b) => a.loss - b.loss)
    .map(({ model }) => model);
}

interface How {
  readonly ownWords?: number;
  readonly talesKept?: number;
  readonly replies?: number;
  /** 1 for the weights that stay. */
  readonly kept?: Uint8Array;
}

const REPLY = encode('village: ');

function indexOf(text: Uint8Array, wanted: Uint8Array, from: number): number {
  return Buffer.from(text.buffer, text.byteOffset, text.length).indexOf(wanted, from);
}

function likeliest(odds: Float32Array): number {
  let best = 0;
  for (let s = 1; s < odds.length; s++) if (odds[s]! > odds[best]!) best = s;
  return best;
}

/** Each weight as -s, 0 or s, where s is the mean of the sizes (Ma et al., 2024). */
export function ternary(weights: Float32Array): Float32Array {
  let sum = 0;
  for (const weight of weights) sum += Math.abs(weight);
  const scale = sum / weights.length;
  return weights.map((weight) => Math.max(-1, Math.min(1, Math.round(weight / scale))) * scale);
}
