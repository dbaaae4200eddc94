/**
 * The DNS source: looks a name up again when its records have run out, with the TTL of the answer between two bounds
 * and some jitter, so that a fleet of gateways does not ask in step. A failure keeps the last good answer and tries
 * again sooner. What records mean is in dns-records.ts; nothing is cached but the last answer.
 */
import { Resolver } from 'node:dns/promises';
import type { Cancel } from '../../base/system-timers.ts';
import { backoffMs } from '../../base/system-timers.ts';
import type { DnsAnswer } from './dns-records.ts';
import { DnsLookup } from './dns-records.ts';
import type { InstanceInput } from './instance.ts';
import { defineSource, words } from './source.ts';

export interface DnsSettings {
  readonly name: string;
  readonly type: 'A' | 'AAAA' | 'SRV';
  /** 0 for SRV. */
  readonly port: number;
  readonly scheme: 'http' | 'https';
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  /** For SRV names and names without records, whose TTL Node does not tell. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Empty for those of the machine. */
  readonly servers: readonly string[];
  readonly whenEmpty: 'keep' | 'remove';
  readonly weight: number;
  readonly zone: string | null;
}

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Share of the wait that chance may add. Nothing is taken off: an answer is good for its whole TTL. */
const JITTER = 0.1;

export const dnsSource = defineSource<DnsSettings>({
  name: 'dns',
  create(settings, { timers, random }) {
    const resolver = new Resolver({ timeout: settings.timeoutMs, tries: 2 });
    if (settings.servers.length > 0) resolver.setServers(settings.servers);
    const lookup = new DnsLookup(settings, resolver);
    let cancel: Cancel = () => {};
    let stopped = false;
    let failures = 0;
    let known = false;
    let last: readonly InstanceInput[] = [];

    /** Takes an answer; says what is wrong with it, or null. */
    const judge = (answer: DnsAnswer): string | null => {
      if (answer.instances.length > 0 || settings.whenEmpty === 'remove' || last.length === 0) {
        last = answer.instances;
        return answer.problem ?? (last.length === 0 ? `${settings.name} has no ${settings.type} records` : null);
      }
      return `${settings.name} has no ${settings.type} records any more; keeping the last ${last.length}`;
    };

    return {
      start(onInstances, onProblem) {
        const look = async (): Promise<void> => {
          let waitMs: number;
          let problem: string | null;
          try {
            const answer = await lookup.ask();
            problem = judge(answer);
            failures = 0;
            known = true;
            waitMs = answer.waitMs * (1 + JITTER * random());
          } catch (error) {
            problem = words(error);
            waitMs = Math.min(backoffMs(failures++, FIRST_RETRY_MS, MAX_RETRY_MS, random), settings.maxTtlMs);
          }
          if (stopped) return;
          onProblem(problem);
          if (known) onInstances(last);
          cancel = timers.after(waitMs, () => void look());
        };
        void look();
      },
      stop() {
        stopped = true;
        cancel();
        resolver.cancel();
      },
    };
  },
});
