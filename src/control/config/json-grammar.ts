/**
 * Holds a JSON file to JSON's grammar. YAML, whose parser reads both, takes more than JSON does: comments, single
 * quotes, bare words, anchors, a comma at the end. Whether the text is JSON is asked of `JSON.parse`; this file only
 * finds the place to point at, because that function's own messages quote the text, which may hold secrets.
 */
import type { Document, Node } from 'yaml';
import { isAlias, isScalar, Scalar, visit } from 'yaml';

export interface JsonProblem {
  readonly offset: number;
  readonly message: string;
}

const LITERAL = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)$/;

/** Undefined when the text is JSON. */
export function jsonProblem(text: string, document: Document.Parsed): JsonProblem | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const said = /at position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    const strange = firstStrangeNode(document);
    const syntax = document.errors[0]?.pos[0];
    const candidates = [said === undefined ? undefined : Number(said), strange?.offset, syntax];
    const offset = Math.min(...candidates.filter((candidate) => candidate !== undefined), text.length);
    if (strange !== undefined && strange.offset === offset) return strange;
    return { offset, message: 'not valid JSON' };
  }
}

/** What YAML takes and JSON does not, first in the text. */
function firstStrangeNode(document: Document.Parsed): JsonProblem | undefined {
  let found: JsonProblem | undefined;
  const note = (node: Node, message: string): void => {
    const offset = node.range?.[0] ?? 0;
    if (found === undefined || offset < found.offset) found = { offset, message: `not valid JSON: ${message}` };
  };
  visit(document, {
    Node(_, node) {
      if (isAlias(node)) note(node, 'an alias');
      else if (isScalar(node)) {
        if (node.type === Scalar.QUOTE_DOUBLE) return;
        if (node.type === Scalar.PLAIN && LITERAL.test(node.source ?? '')) return;
        note(
          node,
          node.type === Scalar.QUOTE_SINGLE ? 'texts take double quotes' : 'a comment, or a text without double quotes',
        );
      }
    },
  });
  return found;
}
