/**
 * Draws sentences from the language model. A model of four words forgets what it began, so each sentence is drawn many
 * times and the best is kept: whole, of a readable length, never let down by its history, not copied, and about what
 * the story is about. Speech opens and closes within one.
 */
import type { LanguageModel } from './language-model.ts';
import type { Random } from './random.ts';
import { CLOSE, LAST, OPEN, PARAGRAPH, SENTENCE_ENDS, TALE } from './tokens.ts';

const DRAFTS = 20;
const LONGEST = 34;
/** Up to this many words a sentence seldom loses its thread. */
const COMFORTABLE = 20;
const SHORTEST = 5;
const MARKS = new Set(['.', ',', ';', ':', '!', '?']);
/** Words that a sentence does not end on. */
const UNFINISHED = new Set(
  'a an the and or but of to in on at by for from with into his her its my your their our as that than which who whose if so very too when because no not is was were are be been had has have he she i we they'.split(
    ' ',
  ),
);
const ASKING = new Set(
  'what who whom whose why how where when which whither is are was were am do does did can could will would shall should may must have has had and but then or well oh'.split(
    ' ',
  ),
);
/** A sentence has one of these, or a word in -ed; else it is most likely a piece of one. */
const VERBS = new Set(
  'is are was were am be been do does did can could will would shall should may might must have has had said says say went go goes came come comes saw see sees took take takes made make makes got get gave give gives knew know knows thought think thinks found find finds told tell felt feel stood stand sat sit lay lie ran run fell fall began begin kept keep left let put set brought sang sing grew grow held hold heard hear sprang spoke speak wept flew fly swam swim slept sleep ate eat drank drink wore threw drew rode blew shook rose met sent lost won built broke caught sold bought led hid bid hung shone struck'.split(
    ' ',
  ),
);

export interface Wishes {
  /** Of each token of the model: how likely it should be, 0 for what may not be said. */
  readonly weights: Float64Array;
  /** Words with a capital at the beginning of sentences only. */
  readonly openers: ReadonlySet<string>;
  /** How much a sentence gains by a word, in lower case, the first time it says it. */
  gain(word: string): number;
}

interface Draft {
  readonly tokens: readonly string[];
  readonly score: number;
}

/** What may be said where, looked up once for each token. */
interface Vocabulary {
  readonly isSign: Uint8Array;
  readonly isMark: Uint8Array;
  readonly isEnd: Uint8Array;
  readonly isLower: Uint8Array;
  readonly isOpener: Uint8Array;
  readonly open: number;
  readonly close: number;
}

export class Sentences {
  readonly #model: LanguageModel;
  readonly #wishes: Wishes;
  readonly #random: Random;
  readonly #is: Vocabulary;

  constructor(model: LanguageModel, wishes: Wishes, random: Random) {
    this.#model = model;
    this.#wishes = wishes;
    this.#random = random;
    const { words } = model;
    const where = (holds: (word: string) => boolean): Uint8Array =>
      Uint8Array.from(words, (word) => Number(holds(word)));
    this.#is = {
      isSign: where((word) => word === TALE || word === PARAGRAPH || word === LAST),
      isMark: where((word) => MARKS.has(word)),
      isEnd: where((word) => SENTENCE_ENDS.has(word)),
      isLower: where((word) => /^[a-z]/.test(word)),
      isOpener: where((word) => wishes.openers.has(word)),
      open: model.id(OPEN) ?? -1,
      close: model.id(CLOSE) ?? -1,
    };
  }

  /** The best of many that may follow `history` (ids, oldest first); its tokens. Empty when none came to an end. */
  next(history: readonly number[]): readonly string[] {
    let best: Draft | undefined;
    for (let i = 0; i < DRAFTS; i++) {
      const draft = this.#draft(history);
      if (draft !== undefined && (best === undefined || draft.score > best.score)) best = draft;
    }
    return best?.tokens ?? [];
  }

  #draft(before: readonly number[]): Draft | undefined {
    const { words } = this.#model;
    const is = this.#is;
    const history = [...before];
    const ids: number[] = [];
    let count = 0;
    let isQuoted = false;
    let isSaid = false;
    let breaks = 0;
    let copied = 0;
    const weightOf = (token: number): number => {
      if (is.isSign[token] === 1) return 0;
      const last = ids.at(-1);
      if (token === is.open) return isQuoted || last === is.open ? 0 : 1;
      if (token === is.close)
        return isQuoted && last !== is.open && last !== undefined && is.isMark[last] === 1 ? 1 : 0;
      const afterEnd = last !== undefined && is.isEnd[last] === 1;
      if (is.isMark[token] === 1) {
        if (last === undefined || last === is.open || last === is.close || is.isMark[last] === 1) return 0;
        if (is.isEnd[token] === 1) return UNFINISHED.has(words[last]!.toLowerCase()) ? 0 : count > COMFORTABLE ? 8 : 1;
        return 1;
      }
      const begins = last === undefined || afterEnd;
      if (begins && is.isLower[token] === 1) return 0;
      if (!begins && is.isOpener[token] === 1 && last !== is.open && last !== is.close) return 0;
      return this.#wishes.weights[token]!;
    };
    for (;;) {
      const drawn = this.#model.draw(history, this.#random, weightOf);
      if (drawn === undefined) return undefined;
      const { token } = drawn;
      const last = ids.at(-1);
      // `?” said the fox.` goes on; anything else after the end of a speech is another sentence.
      if (last === is.close && isSaid && is.isLower[token] === 0 && is.isMark[token] === 0) break;
      if (drawn.after < 2 && ids.length > 0) breaks += drawn.after === 0 ? 2 : 1;
      if (drawn.isCopy) copied++;
      ids.push(token);
      history.push(token);
      if (token === is.open) isQuoted = true;
      else if (token === is.close) {
        isQuoted = false;
        isSaid = last !== undefined && is.isEnd[last] === 1;
      } else if (is.isMark[token] === 0) count++;
      if (is.isEnd[token] === 1 && !isQuoted) break;
      if (count > LONGEST) return undefined;
    }
    return count < 2 ? undefined : this.#judged(ids, before, count, breaks, copied);
  }

  #judged(ids: readonly number[], before: readonly number[], count: number, breaks: number, copied: number): Draft {
    const tokens = ids.map((id) => this.#model.words[id]!);
    const history = [...before];
    let bits = 0;
    for (const id of ids) {
      bits -= Math.log2(this.#model.probability(history.slice(-3), id));
      history.push(id);
    }
    let gain = 0;
    for (const word of new Set(tokens.map((token) => token.toLowerCase()))) gain += this.#wishes.gain(word);
    const length = Math.max(0, count - COMFORTABLE) / 8 + (count < SHORTEST ? 1.5 : 0);
    const plain = tokens.map((token) => token.toLowerCase().replace(/'.*/, ''));
    const isPiece = !plain.some((word) => VERBS.has(word) || /[a-z]{2}ed$/.test(word));
    const asksNothing = tokens.at(-1) === '?' && !ASKING.has(plain[0]!);
    const faults = Number(isPiece) * 1.5 + Number(asksNothing) * 1.5;
    const score = gain - faults - breaks * 1.2 - length - bits / ids.length / 2 - Math.max(0, copied - 2) * 0.25;
    return { tokens, score };
  }
}
