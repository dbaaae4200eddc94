/**
 * The same key (a header, cookie, query value, the path or the user) goes to the same instance, so that its caches stay
 * warm; when instances come or go only their own share of keys moves. Load is bounded: a key whose instance is full
 * beyond `loadFactor` times the fair share goes to its next choice. A request without the key goes by its address.
 */
import type { BalancerRequest } from '../../contract/balancer.ts';
import { defineBalancer } from '../../contract/balancer.ts';
import { hashText } from './hash.ts';
import { Rendezvous } from './rendezvous.ts';

/** As consistent-hash.options.ts leaves them. */
export interface ConsistentHashOptions {
  readonly by: 'header' | 'cookie' | 'query' | 'path' | 'user';
  /** Name of the header (lower case), cookie or query value; empty for the others. */
  readonly name: string;
  /** Share of the fair load that one instance may take, above 1; 0 does not bound. */
  readonly loadFactor: number;
}

export const consistentHash = defineBalancer<ConsistentHashOptions>({
  name: 'consistent-hash',
  weighted: true,
  create(options) {
    const rendezvous = new Rendezvous();
    const keyOf = keyReader(options);
    return {
      pick: (candidates, request) => rendezvous.choose(candidates, keyOf(request), options.loadFactor),
    };
  },
});

function keyReader({ by, name }: ConsistentHashOptions): (request: BalancerRequest) => number {
  switch (by) {
    case 'header':
      return (request) => hashText(request.header(name) ?? request.address);
    case 'cookie':
      return (request) => hashText(request.cookie(name) ?? request.address);
    case 'query':
      return (request) => hashText(queryValue(request.query, name) ?? request.address);
    case 'path':
      return (request) => hashText(request.path);
    case 'user':
      return (request) => hashText(request.subject ?? request.address);
  }
}

/** First value of the name, as written: the key needs to be the same, not to be decoded. */
function queryValue(query: string, name: string): string | null {
  let from = 0;
  while (from < query.length) {
    let end = query.indexOf('&', from);
    if (end < 0) end = query.length;
    if (query.startsWith(name, from) && query.charCodeAt(from + name.length) === 0x3d) {
      return query.slice(from + name.length + 1, end);
    }
    from = end + 1;
  }
  return null;
}
