/** Parameters of a query renamed, removed, set and added; others keep their place and spelling. */
import type { QueryChanges } from '../contract/transform.ts';
import { madeOf, type TransformValues } from './reshape.ts';

/** Null: no query is left. */
export function changedQuery(
  query: string,
  { rename, remove, set, add }: QueryChanges,
  values: TransformValues,
): string | null {
  const made = [...set, ...add].flatMap(([name, template]) => {
    const value = madeOf(template, values, undefined);
    const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
    return isScalar ? [[name, String(value)] as const] : [];
  });
  const gone = new Set([...remove, ...set.map(([name]) => name)]);
  const names = new Map(rename);
  const pairs: string[] = [];
  for (const pair of query === '' ? [] : query.split('&')) {
    const equals = pair.indexOf('=');
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals));
    const to = names.get(name);
    if (gone.has(to ?? name)) continue;
    pairs.push(to === undefined ? pair : encodeURIComponent(to) + (equals < 0 ? '' : pair.slice(equals)));
  }
  for (const [name, value] of made)
    pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value.toWellFormed())}`);
  return pairs.length === 0 ? null : pairs.join('&');
}

/** As services read it; what cannot be decoded is its own name. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}
