/**
 * Who tales are about, learned from them: proper names (words that are capitals in the middle of sentences and never
 * otherwise) and nouns of those who speak and act ("said the fox", "the king went"). In a told story the most frequent
 * of them become the characters that were asked for, each always the same.
 */
import { OPEN, SENTENCE_ENDS, type Tale } from './tokens.ts';

export interface Cast {
  readonly names: ReadonlySet<string>;
  readonly actors: ReadonlySet<string>;
  /** Words that follow an article often enough to be things. */
  readonly nouns: ReadonlySet<string>;
  /** Words with a capital at the beginning of sentences only, such as `The`. */
  readonly openers: ReadonlySet<string>;
}

const ACTS = new Set(
  'said says cried replied answered asked thought exclaimed went ran saw looked came heard felt laughed jumped sat stood'.split(
    ' ',
  ),
);
const ARTICLES = new Set(['the', 'a', 'an', 'his', 'her', 'my', 'their']);
const DESCRIBES = new Set(
  'little poor old good young great selfish happy ugly real small big beautiful clever honest white wee tiny brave tin happy'.split(
    ' ',
  ),
);
/** Neither people nor things, though they stand where those do. */
const OTHERS =
  /s$|^(?:the|what|here|there|why|if|two|whole|eldest|youngest|seventh|rest|latter|violent|strange|loud|light|grey|tame|a|an|not|no|of|with|children|mice|people|men|he|she|it|they|and|but|so|one|other|others|first|second|third|own|same|last|most|up|out|to|in|as|who|all|very|morning|evening|day|night|way|time|moment)$/;
const ACTING_SHARE = 0.12;
const NEVER_NAMES = new Set(['I', 'O', 'Oh', 'Ah', 'God', 'Heaven', 'Christmas', 'Egypt', 'Alas', 'Yes', 'No', 'Then']);

export function castOf(tales: readonly Tale[]): Cast {
  const lower = new Set<string>();
  const middle = new Map<string, number>();
  const acting = new Map<string, number>();
  const things = new Map<string, number>();
  const add = (counts: Map<string, number>, word: string): void => void counts.set(word, (counts.get(word) ?? 0) + 1);
  for (const { tokens } of tales) {
    for (let i = 1; i < tokens.length; i++) {
      const word = tokens[i]!;
      const before = tokens[i - 1]!;
      if (!/^[A-Za-z]/.test(word)) continue;
      if (/^[a-z]/.test(word)) lower.add(word);
      else if (!isStart(before)) add(middle, word);
      const two = tokens[i - 2] ?? '';
      const isNoun = ARTICLES.has(before.toLowerCase()) || (DESCRIBES.has(before) && ARTICLES.has(two.toLowerCase()));
      if (!isNoun || DESCRIBES.has(word)) continue;
      if (OTHERS.test(word.toLowerCase())) continue;
      add(things, word.toLowerCase());
      const sayer = DESCRIBES.has(before) ? tokens[i - 3] : two;
      if (ACTS.has(tokens[i + 1] ?? '') || ACTS.has(sayer ?? '')) add(acting, word.toLowerCase());
    }
  }
  const often = (counts: ReadonlyMap<string, number>, least: number): string[] =>
    [...counts].filter(([, count]) => count >= least).map(([word]) => word);
  // The sea has been heard to speak, and is no person for that.
  const actors = new Set(
    often(acting, 2).filter((word) => acting.get(word)! >= ACTING_SHARE * (things.get(word) ?? 0)),
  );
  const names = often(middle, 3).filter((word) => {
    const plain = word.toLowerCase();
    return (
      /^[A-Za-z-]+$/.test(word) &&
      !lower.has(plain) &&
      !actors.has(plain) &&
      !NEVER_NAMES.has(word) &&
      word !== word.toUpperCase()
    );
  });
  const openers = new Set<string>();
  for (const { tokens } of tales)
    for (const token of tokens) if (/^[A-Z]/.test(token) && !middle.has(token)) openers.add(token);
  return { names: new Set(names), actors, nouns: new Set(often(things, 2)), openers };
}

const isStart = (before: string): boolean => SENTENCE_ENDS.has(before) || before === OPEN || before.startsWith('<');

interface Recast {
  readonly tokens: readonly (readonly string[])[];
  /** Who the story is about; may be empty. */
  readonly hero: string;
}

/** Gives the parts to `characters` by how often the story mentions each person. */
export function recast(
  paragraphs: readonly (readonly string[])[],
  characters: readonly string[],
  wanted: readonly string[],
  cast: Cast,
): Recast {
  const parts = new Map<string, number>();
  for (const tokens of paragraphs) {
    for (const token of tokens) {
      const part = partOf(token, cast);
      if (part !== undefined) parts.set(part, (parts.get(part) ?? 0) + 1);
    }
  }
  const order = [...parts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([part]) => part);
  const names = new Map<string, string>();
  for (const [i, part] of order.entries()) {
    const name = characters[i];
    if (name !== undefined) names.set(part, name.replace(/^The /, 'the '));
  }
  const first = order.find((part) => wanted.includes(part)) ?? order[0];
  const hero = characters[0] ?? (first === undefined ? '' : cast.names.has(first) ? first : `the ${first}`);
  return { tokens: paragraphs.map((tokens) => withNames(tokens, names, cast)), hero };
}

function partOf(token: string, cast: Cast): string | undefined {
  const word = token.replace(/'s$/, '');
  if (cast.names.has(word)) return word;
  return cast.actors.has(word.toLowerCase()) ? word.toLowerCase() : undefined;
}

/** "the poor little fox's tail" becomes "Alice's tail". */
function withNames(tokens: readonly string[], names: ReadonlyMap<string, string>, cast: Cast): string[] {
  const result: string[] = [];
  for (const token of tokens) {
    const name = names.get(partOf(token, cast) ?? '');
    if (name === undefined) {
      result.push(token);
      continue;
    }
    while (DESCRIBES.has((result.at(-1) ?? '').toLowerCase())) result.pop();
    if (ARTICLES.has((result.at(-1) ?? '').toLowerCase())) result.pop();
    result.push(`${name}${token.endsWith("'s") ? "'s" : ''}`);
  }
  return result;
}
