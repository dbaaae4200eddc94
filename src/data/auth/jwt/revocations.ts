/**
 * What the identity service has revoked and tokens may still claim: sessions and single tokens, until they would have
 * expired anyway. Control publishes the whole list on topic `identity:revoked` with every change; this keeps it and
 * says what is new, so that caches drop only that. Owner: one worker.
 */

import type { RevokedMessage } from '../../contract/auth.ts';
import type { Identity } from '../../contract/policy.ts';
import type { EndedCredentials } from '../live-streams.ts';

export class Revocations {
  #sids: ReadonlySet<string> = new Set();
  #jtis: ReadonlySet<string> = new Set();
  #keys: ReadonlySet<string> = new Set();

  /** Takes a published list; gives what the last one did not name. */
  replace(message: unknown): EndedCredentials {
    const { sids, jtis, keys } = (typeof message === 'object' && message !== null ? message : {}) as RevokedMessage;
    const before = { sids: this.#sids, jtis: this.#jtis, keys: this.#keys };
    this.#sids = idsOf(sids);
    this.#jtis = idsOf(jtis);
    this.#keys = idsOf(keys);
    return {
      sids: added(this.#sids, before.sids),
      jtis: added(this.#jtis, before.jtis),
      keys: added(this.#keys, before.keys),
    };
  }

  /** The session, token or key of this gateway's own that it was made of. */
  ended({ issuer, method, claims }: Identity): boolean {
    if ((issuer ?? null) !== null) return false;
    const key = claims['key_id'];
    return method === 'apiKey' ? typeof key === 'string' && this.#keys.has(key) : this.covers(claims);
  }

  covers(claims: Readonly<Record<string, unknown>>): boolean {
    const sid = claims['sid'];
    const jti = claims['jti'];
    return (typeof sid === 'string' && this.#sids.has(sid)) || (typeof jti === 'string' && this.#jtis.has(jti));
  }
}

function idsOf(list: readonly (string | readonly [string, number])[] | undefined): Set<string> {
  const ids = new Set<string>();
  for (const entry of Array.isArray(list) ? list : []) {
    const id: unknown = Array.isArray(entry) ? entry[0] : entry;
    if (typeof id === 'string') ids.add(id);
  }
  return ids;
}

function added(now: ReadonlySet<string>, before: ReadonlySet<string>): ReadonlySet<string> {
  const fresh = new Set<string>();
  for (const id of now) if (!before.has(id)) fresh.add(id);
  return fresh;
}
