/**
 * What a response made of several says of caching: the most careful `Cache-Control` of them (RFC 9111 §5.2.2), and in
 * `Vary` each field of the request that one of them depends on (RFC 9110 §12.5.5).
 */
import type { PartSettings } from '../contract/aggregate.ts';

/** What of a request a composition depends on, beside its URL, by its templates and conditions alone. */
export interface Basis {
  /** It refers to the caller, leaves parts out by a condition or fields by roles: one caller's is not another's. */
  readonly isPersonal: boolean;
  /** A body is no part of what a response is stored under. */
  readonly readsBody: boolean;
  /** Request fields that templates refer to, in lower case. */
  readonly fields: readonly string[];
}

/** Null when any of them says nothing: then nothing is said, unless it is personal. */
export function weakest(fields: readonly (string | null)[], isPersonal: boolean): string | null {
  let maxAge = Number.POSITIVE_INFINITY;
  let isPrivate = isPersonal;
  let isPublic = true;
  let noCache = false;
  let revalidates = false;
  const unsaid = isPersonal ? 'private' : null;
  for (const field of fields) {
    if (field === null) return unsaid;
    const directives = field
      .toLowerCase()
      .split(',')
      .map((each) => each.trim());
    const says = (name: string): boolean => directives.some((each) => each === name || each.startsWith(`${name}=`));
    if (says('no-store')) return 'no-store';
    // With field names they are about those fields alone; taken for all of the response they are on the safe side.
    if (says('private')) isPrivate = true;
    if (says('no-cache')) noCache = true;
    // Without `public` a response to a request with credentials is not for shared caches (RFC 9111 §3.5). The words
    // `must-revalidate` and `s-maxage` of one part would open them those of others, so they are weakened unless the
    // response is public or private all the same: caches of browsers look at `must-revalidate` alone (§5.2.2.8).
    if (!says('public')) isPublic = false;
    if (says('must-revalidate') || says('proxy-revalidate') || says('s-maxage')) revalidates = true;
    const ages = directives.flatMap((each) => /^(?:s-maxage|max-age)="?(\d+)"?$/.exec(each)?.[1] ?? []);
    if (ages.length > 0) maxAge = Math.min(maxAge, ...ages.map(Number));
    else if (!noCache) return unsaid;
  }
  if (fields.length === 0) return unsaid;
  const words = isPrivate ? ['private'] : isPublic ? ['public'] : [];
  words.push(noCache ? 'no-cache' : `max-age=${maxAge}`);
  if (revalidates) words.push(isPrivate || isPublic ? 'must-revalidate' : 'proxy-revalidate');
  return words.join(', ');
}

/** Of each part: its own are not the client's. */
const OWN_FIELDS: readonly string[] = ['accept', 'accept-encoding', 'content-type'];

/** The union of what the parts' `Vary` name. */
export class VaryOfParts {
  readonly #names = new Set<string>();

  add(vary: string | null, { headers }: PartSettings): void {
    if (vary === null) return;
    for (const each of vary.split(',')) {
      const name = each.trim().toLowerCase();
      if (name === '' || OWN_FIELDS.includes(name)) continue;
      if (!headers.some(([own]) => own.toLowerCase() === name)) this.#names.add(name);
    }
  }

  /** With more names; null for none. */
  with(more: readonly string[]): string | null {
    for (const name of more) this.#names.add(name);
    if (this.#names.size === 0) return null;
    return this.#names.has('*') ? '*' : [...this.#names].join(', ');
  }
}
