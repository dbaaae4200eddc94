/**
 * Reads a request's body or query by a Zod schema and turns every complaint into field, value and expectation.
 * Bodies are JSON objects (or forms, where OAuth demands them), at most 64 KiB; unknown fields are refused.
 */
import type * as z from 'zod';
import { fieldProblems, shorten } from '../../field-problems.ts';
import { invalid, Problem } from '../problem.ts';

const MAX_BODY_BYTES = 64 * 1024;

export async function readBody<Schema extends z.ZodType>(request: Request, schema: Schema): Promise<z.output<Schema>> {
  return check(await readJson(request), schema);
}

/** A body that may be absent: then an empty object. */
export async function readOptionalBody<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
): Promise<z.output<Schema>> {
  const text = await readText(request);
  return check(text.trim() === '' ? {} : parse(request, text), schema);
}

export function readQuery<Schema extends z.ZodType>(url: string, schema: Schema): z.output<Schema> {
  const found: Record<string, string> = Object.create(null);
  for (const [name, value] of new URL(url).searchParams) found[name] = value;
  return check({ ...found }, schema);
}

/** OAuth's form bodies (RFC 7009, RFC 7662); JSON is taken as well. A field that appears twice is refused. */
export async function readForm<Schema extends z.ZodType>(request: Request, schema: Schema): Promise<z.output<Schema>> {
  if (!isForm(request)) return readBody(request, schema);
  return check(Object.fromEntries(await formFields(request)), schema);
}

/** What a page's form sent, unchecked: what is wrong is said beside what was typed. Fields left empty are not there. */
export async function readPageForm(request: Request): Promise<ReadonlyMap<string, string>> {
  if (!isForm(request)) {
    throw new Problem(
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      'media_type',
      'the body must be application/x-www-form-urlencoded',
    );
  }
  const found = await formFields(request);
  for (const [name, value] of found) if (value === '') found.delete(name);
  return found;
}

/** Throws a 400 that names every field that is wrong. */
export function checkPageForm<Schema extends z.ZodType>(
  given: ReadonlyMap<string, string>,
  schema: Schema,
): z.output<Schema> {
  return check(Object.fromEntries(given), schema);
}

const isForm = (request: Request): boolean => mediaType(request).endsWith('x-www-form-urlencoded');

async function formFields(request: Request): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(await readText(request))) {
    if (found.has(name)) throw invalid([{ field: name, expected: 'to appear once' }]);
    found.set(name, value);
  }
  return found;
}

async function readJson(request: Request): Promise<unknown> {
  return parse(request, await readText(request));
}

function parse(request: Request, text: string): unknown {
  // Only JSON's own media type: a form of a foreign page cannot send it without asking first (CORS).
  if (mediaType(request) !== 'application/json') {
    const found = request.headers.get('content-type') ?? '';
    throw new Problem(415, 'UNSUPPORTED_MEDIA_TYPE', 'media_type', 'the body must be application/json', {
      fields: [{ field: 'content-type', value: shorten(found), expected: 'application/json' }],
    });
  }
  try {
    return JSON.parse(text);
  } catch {
    throw invalid([{ field: '(body)', expected: 'a JSON object' }]);
  }
}

function mediaType(request: Request): string {
  return (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

async function readText(request: Request): Promise<string> {
  if (request.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) {
      throw new Problem(413, 'PAYLOAD_TOO_LARGE', 'payload_too_large', `the body may have ${MAX_BODY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function check<Schema extends z.ZodType>(input: unknown, schema: Schema): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw invalid(fieldProblems(result.error, input));
}
