/**
 * `hygiene`: what no request of an API needs and attacks like: content types that nobody reads, queries without end,
 * one parameter twice (which two readers take differently); and what responses tell strangers about the software
 * behind.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { matchesType, mediaTypeOf } from '../content/media-type.ts';
import type { Outcome, PolicyContext } from '../contract/policy.ts';
import { definePolicy } from '../contract/policy.ts';

export interface HygieneSettings {
  /** Null: any. */
  readonly contentTypes: readonly string[] | null;
  /** Characters; 0: any. */
  readonly maxQueryLength: number;
  /** 0: any. */
  readonly maxQueryParameters: number;
  readonly refuseDuplicates: boolean;
  /** Lower case. */
  readonly hiddenFields: readonly string[];
}

export const hygiene = definePolicy<HygieneSettings>({
  name: 'hygiene',
  phases: ['requestHead', 'responseHead'],
  // Cheaper than anything that looks further.
  first: true,
  create(settings) {
    const { contentTypes, hiddenFields } = settings;
    const accept = contentTypes?.join(', ') ?? '';
    return {
      requestHead: (exchange) => queryFault(settings, exchange.query) ?? typeFault(contentTypes, accept, exchange),
      ...(hiddenFields.length === 0
        ? {}
        : {
            responseHead: (exchange: PolicyContext) => {
              for (const name of hiddenFields)
                if (exchange.responseHeader(name) !== null) exchange.removeResponseHeader(name);
            },
          }),
    };
  },
});

function queryFault(settings: HygieneSettings, query: string): Fault | undefined {
  if (query === '') return undefined;
  const { maxQueryLength, maxQueryParameters, refuseDuplicates } = settings;
  if (maxQueryLength > 0 && query.length > maxQueryLength)
    return new Fault(FAULTS.uriTooLong, {
      detail: `the query has ${query.length} characters, at most ${maxQueryLength}`,
    });
  if (maxQueryParameters === 0 && !refuseDuplicates) return undefined;
  const names = new Set<string>();
  let count = 0;
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    if (++count > maxQueryParameters && maxQueryParameters > 0)
      return wrong('query', `at most ${maxQueryParameters} parameters`);
    if (!refuseDuplicates) continue;
    const name = nameOf(pair);
    if (names.has(name)) return wrong(`query.${name.slice(0, 100)}`, 'given once');
    names.add(name);
  }
  return undefined;
}

/** As services read it: `%61` is `a`. What cannot be decoded is its own name. */
function nameOf(pair: string): string {
  const equals = pair.indexOf('=');
  const name = equals < 0 ? pair : pair.slice(0, equals);
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

function wrong(field: string, expected: string): Fault {
  return new Fault(FAULTS.invalidRequest, { fields: [{ field, expected }] });
}

/** RFC 9110 §15.5.16: what would be taken is said. */
function typeFault(types: readonly string[] | null, accept: string, exchange: PolicyContext): Outcome {
  if (types === null || exchange.contentLength === 0) return undefined;
  const type = mediaTypeOf(exchange.header('content-type'));
  for (let i = 0; i < types.length; i++) if (matchesType(types[i]!, type)) return undefined;
  return new Fault(FAULTS.unsupportedMediaType, { headers: { Accept: accept } });
}
