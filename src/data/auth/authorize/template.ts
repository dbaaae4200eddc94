/**
 * Texts with placeholders for field values: `{request.id}`, `{params.userId}`, `{auth.sub}`, `{header.x-tenant}`. The
 * paths are those of expression.ts and three more (`request.id`, `request.scheme`, `request.query`). Compiled once.
 * Claims and parameters, which can hold any character, are put in encoded (`encodeFieldText`), so that none can end the
 * line; what came as a field or in the request line is fit for a field as it is. `{{` and `}}` stand for braces.
 */
import type { PolicyContext } from '../../contract/policy.ts';
import { encodeFieldText } from '../identity-headers.ts';
import { compileReader, ExpressionError, type Reader } from './expression.ts';

/** The text, or null when a placeholder has no value: then the field is not sent. */
export type Template = (exchange: PolicyContext) => string | null;

const PLACEHOLDER = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

const OWN_READERS: Readonly<Record<string, Reader>> = {
  'request.id': ({ requestId }) => requestId,
  'request.scheme': ({ scheme }) => scheme,
  'request.query': ({ query }) => query,
};

/** What is wrong with a text, or nothing. */
export function templateProblem(text: string): string | undefined {
  try {
    compileTemplate(text);
    return undefined;
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
}

/** The text of a template without placeholders, which is always the same; null: it has some. */
export function constantText(text: string): string | null {
  const parts = partsOf(text);
  return parts.every((part) => typeof part === 'string') ? parts.join('') : null;
}

/** Throws an `ExpressionError`. */
export function compileTemplate(text: string): Template {
  const parts = partsOf(text);
  if (parts.every((part) => typeof part === 'string')) {
    const fixed = parts.join('');
    return () => fixed;
  }
  return (exchange) => {
    let result = '';
    for (const part of parts) {
      if (typeof part === 'string') {
        result += part;
        continue;
      }
      const value = textOf(part(exchange));
      if (value === null) return null;
      result += value;
    }
    return result;
  };
}

function partsOf(text: string): (string | Reader)[] {
  const parts: (string | Reader)[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    parts.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    const [whole, path] = match;
    if (whole === '{{' || whole === '}}') parts.push(whole[0]!);
    else if (path === undefined) throw new ExpressionError('a brace stands alone, write {{ or }} for one', match.index);
    else parts.push(placeholder(path.trim(), match.index));
  }
  parts.push(text.slice(end));
  return parts;
}

function placeholder(path: string, at: number): Reader {
  const own = Object.hasOwn(OWN_READERS, path) ? OWN_READERS[path] : undefined;
  if (own !== undefined) return own;
  // A placeholder is a path, not a condition.
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(path)) throw new ExpressionError(`"{${path}}" is not a placeholder`, at);
  const read = compileReader(path);
  if (path.startsWith('request.') || path.startsWith('header.')) return read;
  return (exchange) => encoded(read(exchange));
}

function encoded(value: unknown): unknown {
  if (typeof value === 'string') return encodeFieldText(value);
  return Array.isArray(value) ? value.map(encoded) : value;
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!Array.isArray(value)) return null;
  const entries = value.map(textOf);
  return entries.includes(null) ? null : entries.join(',');
}
