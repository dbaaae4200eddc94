/**
 * The same caller's address goes to the same instance as long as that is usable; its share of callers follows its
 * weight. Behind a proxy the address is the caller's only if the proxy is trusted (`trustProxy`). Load is not bounded:
 * use consistent-hash where a few addresses make most of the traffic.
 */
import { defineBalancer } from '../../contract/balancer.ts';
import { hashText } from './hash.ts';
import { Rendezvous } from './rendezvous.ts';

export const ipHash = defineBalancer({
  name: 'ip-hash',
  weighted: true,
  create() {
    const rendezvous = new Rendezvous();
    return {
      pick: (candidates, request) => rendezvous.choose(candidates, hashText(request.address), 0),
    };
  },
});
