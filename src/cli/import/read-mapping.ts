/** A YAML or JSON text of another gateway's, with messages that name line and column. */
import { parseDocument } from 'yaml';

/** Beyond this, lists within lists are an attack or a mistake. */
const DEEPEST = 100;
const MOST_VALUES = 2_000_000;

export function readMapping(text: string): object {
  // The gateways that are imported read `<<`; a guard in a merged mapping must not get lost.
  const document = parseDocument(text, { merge: true, prettyErrors: true });
  const [problem] = document.errors;
  if (problem?.code === 'MULTIPLE_DOCS') throw new Error('it holds several documents; import them one by one');
  if (
    /\{\{-?\s*(?!env\b)\w+|\{\{-?\s*\.|\{%/.test(text) &&
    (problem !== undefined || /\{\{-?\s*(?:range|include|if|template)\b/.test(text))
  )
    throw new Error('it has templates in it: import what is made of it');
  if (problem !== undefined) throw new Error(problem.message.split('\n')[0]!.replace(/:$/, ''));
  const value: unknown = document.toJS({ maxAliasCount: 10_000 });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('holds no mapping');
  checkDepth(value, [], { left: MOST_VALUES });
  return value;
}

function checkDepth(value: unknown, within: object[], count: { left: number }): void {
  if (count.left-- <= 0) throw new Error(`with all anchors there are more than ${MOST_VALUES} values`);
  if (typeof value !== 'object' || value === null) return;
  if (within.includes(value)) throw new Error('an anchor stands for something that it is part of');
  if (within.length >= DEEPEST) throw new Error(`more than ${DEEPEST} lists and mappings stand in each other`);
  within.push(value);
  for (const each of Object.values(value)) checkDepth(each, within, count);
  within.pop();
}
