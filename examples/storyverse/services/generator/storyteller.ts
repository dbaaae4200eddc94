/**
 * Tells a story: draws several from the language model, bent towards the words that were asked for, and keeps the one
 * that has most to do with them and reads most smoothly. The model is bent by unigram rescaling: tales that share words
 * with the request weigh more, and with them all their words. Who is talked about becomes who was asked for. Words
 * above the age rating, and of topics to be left out, are never drawn.
 */
import { isWordFit, type Judgement, judge, wordsOf } from '../content.ts';
import { type Cast, castOf, recast } from './cast.ts';
import { LanguageModel } from './language-model.ts';
import { createRandom, type Random } from './random.ts';
import { Sentences } from './sentences.ts';
import { LAST, PARAGRAPH, readTales, TALE, type Tale, tokenize, write } from './tokens.ts';

export interface StoryRequest {
  /** What it should be about, in words. */
  readonly about: string;
  /** Names of the people in it, the most important first. */
  readonly characters: readonly string[];
  readonly words: number;
  readonly maxRating: number;
  readonly blockedTopics: readonly string[];
  readonly seed: number;
}

export interface ToldStory extends Judgement {
  readonly title: string;
  readonly text: string;
  readonly words: number;
}

const CANDIDATES = 2;
const WORDS_OF_PARAGRAPH = 70;
/** How strongly a request bends the model, from 0 to 1. */
const BEND = 0.6;
const MAX_WEIGHT = 6;
const COMMON = new Set(
  'a an and are as at but by for from had has have he her his how i in into is it its little me my not of on one or our she so story tell that the their them there they this to up was we were when where which who will with you your about'.split(
    ' ',
  ),
);

export class Storyteller {
  readonly model: LanguageModel;
  readonly tales: readonly Tale[];
  readonly #cast: Cast;
  readonly #wordsOfTale: readonly ReadonlyMap<string, number>[];
  readonly #talesWith = new Map<string, number>();

  constructor(text: string) {
    this.tales = readTales(text);
    this.model = new LanguageModel(this.tales.map(({ tokens }) => tokens));
    this.#cast = castOf(this.tales);
    this.#wordsOfTale = this.tales.map(({ title, tokens }) => counted([...tokenize(title), ...tokens]));
    for (const words of this.#wordsOfTale)
      for (const word of words.keys()) this.#talesWith.set(word, (this.#talesWith.get(word) ?? 0) + 1);
  }

  tell(request: StoryRequest): ToldStory {
    const random = createRandom(request.seed);
    const wanted = wordsOf(`${request.about} ${request.characters.join(' ')}`).filter((word) => !COMMON.has(word));
    const weight = this.#weights(wanted, request);
    let best: { story: ToldStory; score: number } | undefined;
    for (let i = 0; i < CANDIDATES; i++) {
      const paragraphs = this.#paragraphs(request.words, wanted, weight, random);
      const story = this.#finish(paragraphs, request);
      const fluency =
        paragraphs.reduce((sum, each) => sum - Math.log2(this.model.perplexity(each)), 0) / paragraphs.length;
      const score = scoreOf(story, wanted, request) + fluency / 2;
      if (best === undefined || score > best.score) best = { story, score };
    }
    return best!.story;
  }

  /** Of each token: how much likelier it is in tales like the request than in all tales; 0 for what may not be said. */
  #weights(wanted: readonly string[], { maxRating, blockedTopics }: StoryRequest): Float64Array {
    const likeness = this.#likeness(wanted);
    const all = new Map<string, number>();
    const like = new Map<string, number>();
    let allTotal = 0;
    let likeTotal = 0;
    for (const [i, words] of this.#wordsOfTale.entries()) {
      for (const [word, count] of words) {
        all.set(word, (all.get(word) ?? 0) + count);
        like.set(word, (like.get(word) ?? 0) + count * likeness[i]!);
        allTotal += count;
        likeTotal += count * likeness[i]!;
      }
    }
    return Float64Array.from(this.model.words, (token) => {
      const word = token.toLowerCase();
      if (!isWordFit(word, maxRating, blockedTopics)) return 0;
      if (!/^[a-z]/.test(word) || COMMON.has(word)) return 1;
      const general = (all.get(word) ?? 1) / allTotal;
      const bent = (1 - BEND) * general + (BEND * (like.get(word) ?? 0)) / likeTotal;
      return Math.min(MAX_WEIGHT, (bent / general) * (wanted.includes(word) ? 4 : 1));
    });
  }

  /** Of each tale, by the words that it shares with the request; rare words count more (tf-idf). */
  #likeness(wanted: readonly string[]): number[] {
    const scores = this.#wordsOfTale.map((words) => {
      let score = 0;
      for (const word of wanted) {
        const count = words.get(word) ?? 0;
        if (count > 0) score += (1 + Math.log(count)) * Math.log(this.tales.length / (this.#talesWith.get(word) ?? 1));
      }
      return score;
    });
    return scores.map((score) => Math.exp(Math.min(score, 12) / 2));
  }

  /** Paragraphs of whole sentences, until there are enough words. */
  #paragraphs(words: number, wanted: readonly string[], weights: Float64Array, random: Random): string[][] {
    const said = new Map<string, number>();
    const gain = (word: string): number => {
      if (COMMON.has(word) || !/^[a-z]{3}/.test(word)) return 0;
      const times = said.get(word) ?? 0;
      if (wanted.includes(word)) return times < 3 ? 2.5 / (1 + times) : 0;
      // Whom and what it has spoken of, it goes on speaking of; new people are a burden.
      if (this.#cast.actors.has(word) || this.#cast.nouns.has(word)) return times > 0 ? 0.5 : -0.1;
      return 0;
    };
    const sentences = new Sentences(this.model, { weights, openers: this.#cast.openers, gain }, random);
    const paragraphs: string[][] = [];
    let left = words;
    while (left > 0) {
      const sign = paragraphs.length === 0 ? TALE : left <= WORDS_OF_PARAGRAPH ? LAST : PARAGRAPH;
      const history = [this.model.id(sign)!];
      const tokens: string[] = [];
      const size = left < WORDS_OF_PARAGRAPH * 1.4 ? left : WORDS_OF_PARAGRAPH;
      let count = 0;
      while (count < size) {
        const sentence = sentences.next(history);
        // Nothing fits here: begin anew, as a paragraph does.
        if (sentence.length === 0) {
          if (history.length === 1) break;
          history.splice(0, history.length, this.model.id(PARAGRAPH)!);
          continue;
        }
        for (const token of sentence) {
          tokens.push(token);
          history.push(this.model.id(token)!);
          if (!/^[a-z]/i.test(token)) continue;
          count++;
          const word = token.toLowerCase();
          said.set(word, (said.get(word) ?? 0) + 1);
        }
      }
      if (tokens.length > 0) paragraphs.push(tokens);
      left -= Math.max(10, count);
    }
    return paragraphs;
  }

  #finish(
    paragraphs: readonly (readonly string[])[],
    { characters, about, maxRating, blockedTopics }: StoryRequest,
  ): ToldStory {
    const { tokens, hero } = recast(paragraphs, characters, wordsOf(about), this.#cast);
    const text = tokens.map(write).join('\n\n');
    const title = this.#title(text, hero, about, (word) => isWordFit(word, maxRating, blockedTopics));
    return { title, text, words: text.split(/\s+/).length, ...judge(`${title} ${text}`) };
  }

  /** Who it is about, and the rarest word of the request that occurs, or else of the text. */
  #title(text: string, hero: string, about: string, isFit: (word: string) => boolean): string {
    const words = counted(tokenize(text));
    const rarity = (word: string): number => Math.log(this.tales.length / (this.#talesWith.get(word) ?? 1));
    const taken = wordsOf(hero);
    const nouns = [...words.keys()].filter((word) => this.#cast.nouns.has(word) && !taken.includes(word));
    const asked = wordsOf(about).filter((word) => this.#cast.nouns.has(word) && !taken.includes(word) && isFit(word));
    const score = (word: string): number => rarity(word) * (words.get(word) ?? 0.5);
    const [thing] = (asked.length > 0 ? asked : nouns).sort((a, b) => score(b) - score(a) || a.localeCompare(b));
    const name = hero === '' ? 'A Tale' : hero.replace(/(^| )[a-z]/g, (letter) => letter.toUpperCase());
    return thing === undefined
      ? name
      : `${name}${hero === '' ? ' of' : ' and'} the ${thing[0]?.toUpperCase()}${thing.slice(1)}`;
  }
}

function counted(tokens: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const token of tokens) {
    if (!/^[A-Za-z]/.test(token)) continue;
    const word = token.toLowerCase();
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** Words of the request that occur, names that occur, and a length near what was asked for. */
function scoreOf(story: ToldStory, wanted: readonly string[], { characters, words }: StoryRequest): number {
  const told = counted(tokenize(story.text));
  const covered = new Set(wanted.filter((word) => told.has(word))).size / Math.max(1, new Set(wanted).size);
  const named = characters.filter((name) => story.text.includes(name)).length / Math.max(1, characters.length);
  return covered * 2 + named * 2 - Math.abs(story.words - words) / words;
}
