/**
 * Parameters of a request against their schemas: the text in query, path, header or cookie becomes a value in one way,
 * or is refused. A name that stands twice where one value is expected has no value that everybody reads alike.
 */
import type { ParameterForm, ParameterSettings, ScalarType } from '../contract/validation.ts';
import type { SchemaCheck } from './json-schema.ts';
import { readJson } from './read-json.ts';
import type { Violation } from './violation.ts';
import { violation } from './violation.ts';

const NUMBER = /^-?(0|[1-9]\d{0,20})(\.\d{1,20})?([eE][+-]?\d{1,3})?$/;

/** Where the texts come from; a policy's exchange is one. */
export interface ParameterSource {
  readonly query: string;
  readonly params: Readonly<Record<string, string>>;
  header(name: string): string | null;
  cookie(name: string): string | null;
}

export interface CheckedParameter extends ParameterSettings {
  readonly check: SchemaCheck;
}

/** Adds to `found` what is wrong with the parameters; `unknownQuery` also those without a description. */
export function checkParameters(
  parameters: readonly CheckedParameter[],
  source: ParameterSource,
  refuseUnknownQuery: boolean,
  found: Violation[],
): void {
  const query = source.query === '' ? NO_QUERY : readQuery(source.query, found);
  for (const parameter of parameters) checkOne(parameter, textsOf(parameter, source, query), found);
  if (!refuseUnknownQuery) return;
  for (const name of query.keys()) {
    if (!parameters.some((each) => each.in === 'query' && each.name === name))
      found.push(violation(`query.${name.slice(0, 100)}`, undefined, 'no such parameter'));
  }
}

const NO_QUERY: ReadonlyMap<string, string[]> = new Map();

/** As forms are written: `+` is a blank. A `%` that begins no byte, or bytes that are no UTF-8, have no meaning. */
export function readQuery(query: string, found: Violation[], place = 'query'): Map<string, string[]> {
  const values = new Map<string, string[]>();
  let isReadable = true;
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decoded(pair.slice(equals + 1));
    if (name === undefined || value === undefined) {
      // Said once: there may be as many as the text has characters.
      if (isReadable) found.push(violation(place, undefined, 'percent-encoded UTF-8'));
      isReadable = false;
      continue;
    }
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else known.push(value);
  }
  return values;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.includes('+') ? text.replaceAll('+', ' ') : text);
  } catch {
    return undefined;
  }
}

function textsOf(
  { in: place, name }: ParameterSettings,
  source: ParameterSource,
  query: ReadonlyMap<string, string[]>,
): readonly string[] {
  if (place === 'query') return query.get(name) ?? [];
  const text =
    place === 'header' ? source.header(name) : place === 'cookie' ? source.cookie(name) : pathText(source, name);
  return text === null ? [] : [text];
}

function pathText({ params }: ParameterSource, name: string): string | null {
  return Object.hasOwn(params, name) ? (params[name] ?? null) : null;
}

function checkOne(parameter: CheckedParameter, texts: readonly string[], found: Violation[]): void {
  const field = `${parameter.in}.${parameter.name}`;
  if (texts.length === 0) {
    if (parameter.required) found.push(violation(field, undefined, 'required'));
    return;
  }
  const value = readValue(parameter.form, texts, field, found);
  if (value === undefined) return;
  for (const each of parameter.check(value) ?? []) found.push({ ...each, field: field + each.field });
}

/** Undefined when it has no value, which then has been said. */
export function readValue(form: ParameterForm, texts: readonly string[], field: string, found: Violation[]): unknown {
  if (form.kind === 'list') {
    const { separator } = form;
    if (separator === null) return texts.map((text) => scalarOf(text, form.types));
    if (texts.length === 1)
      return texts[0] === '' ? [] : texts[0]!.split(separator).map((text) => scalarOf(text, form.types));
  }
  if (texts.length > 1) {
    found.push(violation(field, undefined, 'given once'));
    return undefined;
  }
  if (form.kind === 'json') {
    const reading = readJson(Buffer.from(texts[0]!, 'utf8'));
    if (reading.ok) return reading.value;
    found.push({ ...reading.violation, field: field + reading.violation.field });
    return undefined;
  }
  return scalarOf(texts[0]!, form.kind === 'scalar' ? form.types : ['string']);
}

/** A text that is none of the types stays what it is, and the schema says what was expected. */
function scalarOf(text: string, types: readonly ScalarType[]): string | number | boolean {
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  if (types.includes('number') && NUMBER.test(text)) return Number(text);
  return text;
}
