/**
 * From which age on a text is fit, and which topics it touches, by its words. A word list is a blunt tool: it errs on
 * the side of the higher rating and knows nothing of what words mean together. Stories are rated by it when they are
 * kept, and the generator leaves out words that are rated above what was asked for.
 */

export const TOPICS = {
  horror: {
    rating: 12,
    words: 'blood bloody bones corpse coffin ghost ghosts grave horrible monster skeleton vampire vampires',
  },
  violence: {
    rating: 12,
    words:
      'axe beat behead beheaded beheading cannon dagger execution executioner fight fought gallows gun hang hanged kill killed kills killing knife murder murdered murderer murderers pistol shoot shot slain slaughter slaughtered slaughterer slaughterers slay slew stab stabbed strangle strangled sword torture war',
  },
  death: { rating: 9, words: 'dead death die died dies dying funeral drown drowned poison' },
  alcohol: { rating: 9, words: 'ale beer brandy drunk rum wine' },
  witches: { rating: 6, words: 'enchantress sorcerer spell witch witches wizard' },
  wolves: { rating: 0, words: 'wolf wolves' },
} as const;

export type Topic = keyof typeof TOPICS;
export const TOPIC_NAMES = Object.keys(TOPICS) as Topic[];

const TOPIC_OF_WORD: ReadonlyMap<string, Topic> = new Map(
  TOPIC_NAMES.flatMap((topic) => TOPICS[topic].words.split(' ').map((word) => [word, topic] as const)),
);

export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z]+(?:['-][a-z]+)*/g) ?? [];
}

export interface Judgement {
  readonly rating: number;
  readonly topics: readonly Topic[];
}

export function judge(text: string): Judgement {
  const topics = new Set<Topic>();
  for (const word of wordsOf(text)) {
    const topic = TOPIC_OF_WORD.get(word);
    if (topic !== undefined) topics.add(topic);
  }
  return { rating: Math.max(0, ...[...topics].map((topic) => TOPICS[topic].rating)), topics: [...topics].sort() };
}

/** Whether a word may stand in a text of at most this rating that leaves these topics out. */
export function isWordFit(word: string, maxRating: number, blocked: readonly string[]): boolean {
  const topic = TOPIC_OF_WORD.get(word.toLowerCase());
  return topic === undefined || (TOPICS[topic].rating <= maxRating && !blocked.includes(topic));
}
