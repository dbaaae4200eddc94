/**
 * `ipFilter`: who may come, by address. `deny` refuses what it lists; `allow`, if it is there, refuses what it does not
 * list; an address in both is refused. Written on the gateway it holds before anything else is done, also for paths
 * that do not exist; on a service or route it holds there too. Lists of 100,000 blocks cost a fraction of a
 * microsecond.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import {
  definePolicy,
  type Outcome,
  type PolicyContext,
  type PolicyEnvironment,
  type PolicyHooks,
} from '../contract/policy.ts';
import { BlockSet } from '../limiter/block-set.ts';
import { WorkerLimits } from '../limiter/worker-limits.ts';

export interface IpFilterSettings {
  /**
   * Secret ids of lists, one block a line: beside the snapshot, so that a long list is there once and not once per
   * route.
   */
  readonly allow: string | null;
  readonly deny: string | null;
  readonly phase: 'arrival' | 'authenticate';
}

export const ipFilter = definePolicy<IpFilterSettings>({
  name: 'ip-filter',
  phases: ['arrival', 'authenticate'],
  first: true,
  create({ allow, deny, phase }, environment): PolicyHooks {
    const limits = WorkerLimits.of(environment);
    const lists = [textOf(allow, environment), textOf(deny, environment)] as const;
    const key = `ip-filter ${JSON.stringify(lists)}`;
    // The same hook for the same lists: on the gateway it is one for all routes.
    const filter = limits.acquire(key, () => new Filter(...lists));
    return { [phase]: filter.check, dispose: () => limits.release(key) };
  },
});

function textOf(id: string | null, { secrets }: PolicyEnvironment): string | null {
  if (id === null) return null;
  const text = secrets[id];
  if (text === undefined) throw new TypeError(`there is no list ${id}`);
  return text;
}

function linesOf(list: string): string[] {
  return list === '' ? [] : list.split('\n');
}

class Filter {
  readonly #allow: BlockSet | null;
  readonly #deny: BlockSet | null;

  constructor(allow: string | null, deny: string | null) {
    this.#allow = allow === null ? null : new BlockSet(linesOf(allow));
    this.#deny = deny === null ? null : new BlockSet(linesOf(deny));
  }

  readonly check = ({ address }: PolicyContext): Outcome => {
    if (this.#deny?.has(address) === true) return REFUSED;
    return this.#allow === null || this.#allow.has(address) ? undefined : REFUSED;
  };
}

/** It says nothing of the request, so one serves all. */
const REFUSED = new Fault(FAULTS.addressDenied);
