/**
 * Abuse as a worker sees it: counts events against callers in the shared table, so that all workers count together,
 * tells control when a rule is broken, and knows who is banned. Made once per worker (`WorkerAbuse.of`). Who calls
 * what: the listener asks `isBanned` before it reads a byte; the policy `abuse` asks again when a trusted proxy named
 * another address, and reports responses; the engine asks and reports for requests that no route took or a built-in one
 * (`ended`), and refused heads (`refused`).
 *
 * What a page of another site makes its visitor's browser ask for (`Sec-Fetch-Site: cross-site`) bans no one: an image
 * would be enough to lock a person out. It counts by itself, and beyond the limit such requests of the address are
 * refused for a while, also those of a scanner that calls itself so.
 */

import { readAddress } from '../../base/address-words.ts';
import {
  ABUSE_RULES_TOPIC,
  type AbuseEvent,
  type AbuseRules,
  type AbuseTrip,
  BANS_TOPIC,
  type BanKind,
  type PublishedBans,
  TRIP_TOPIC,
} from '../contract/limits.ts';
import type { ControlLink, Identity, PolicyContext, PolicyEnvironment } from '../contract/policy.ts';
import { BlockSet } from './block-set.ts';
import { Rule } from './rule.ts';
import { CHARGED, DENIED, type LimitTable } from './table.ts';
import { WorkerLimits } from './worker-limits.ts';

/** A broken rule is reported once in this time per subject, however many workers see it. */
const TELL_EVERY_MS = 2_000;
const NOBODY: BlockSet = new BlockSet([]);
/** How long requests that other sites cause are refused after too many wrong ones. */
const HOLD_BACK_MS = 60_000;
/** Addresses for which they are, in this worker; beyond it the one that began first is forgotten. */
const MOST_HELD_BACK = 10_000;

interface Counter {
  readonly name: string;
  readonly by: BanKind;
  readonly rule: Rule;
  readonly reported: Rule;
  /** For requests that other sites cause. */
  readonly driven: Rule;
}

/** What of an exchange counts; the engine's context is one. */
export type EndedExchange = Pick<
  PolicyContext,
  'address' | 'header' | 'identity' | 'method' | 'path' | 'routeId' | 'status' | 'outcome' | 'fault'
>;

export interface AbuseCounts {
  /** Events that counted, by kind. */
  readonly events: Readonly<Partial<Record<AbuseEvent, number>>>;
  /** Rules broken, as reported to control. */
  readonly trips: number;
  /** Requests and connections refused because of a ban. */
  readonly refused: number;
}

export class WorkerAbuse {
  readonly #table: LimitTable;
  readonly #control: ControlLink;
  readonly #counters = new Map<AbuseEvent, Counter[]>();
  readonly #words = new Int32Array(4);
  #exempt = NOBODY;
  #scanPaths: readonly string[] = [];
  #addresses = NOBODY;
  #users: ReadonlySet<string> = new Set();
  #keys: ReadonlySet<string> = new Set();
  readonly #events: Partial<Record<AbuseEvent, number>> = {};
  #trips = 0;
  #refused = 0;
  /** Subject of an address, and until when by the time of the table. */
  readonly #heldBack = new Map<string, number>();

  constructor(table: LimitTable, control: ControlLink) {
    this.#table = table;
    this.#control = control;
    control.subscribe(ABUSE_RULES_TOPIC, (data) => this.#configure(data as AbuseRules));
    control.subscribe(BANS_TOPIC, (data) => {
      const { addresses, users, keys } = data as PublishedBans;
      this.#addresses = new BlockSet(addresses);
      this.#users = new Set(users);
      this.#keys = new Set(keys);
    });
  }

  static of(environment: PolicyEnvironment): WorkerAbuse {
    return environment.perWorker('abuse', () => {
      const limits = WorkerLimits.of(environment);
      const abuse = new WorkerAbuse(limits.table, environment.control);
      limits.reporter.add(() => abuse.#flatCounts());
      return abuse;
    });
  }

  /** Is this address banned? Cheap without bans; a yes is counted as a refusal. */
  isBanned(address: string): boolean {
    if (this.#addresses.size === 0 || !this.#addresses.has(address)) return false;
    this.#refused++;
    return true;
  }

  /** Banned, or held back as what another site causes. Cheap without bans. */
  keepsOut(exchange: Pick<PolicyContext, 'address' | 'header'>): boolean {
    return this.isBanned(exchange.address) || (this.#heldBack.size > 0 && this.#isHeldBack(exchange));
  }

  #isHeldBack(exchange: Pick<PolicyContext, 'address' | 'header'>): boolean {
    if (!isDriven(exchange)) return false;
    const subject = addressSubject(exchange.address, this.#words);
    const until = this.#heldBack.get(subject);
    if (until === undefined) return false;
    if (until > this.#table.time.nowMs()) {
      this.#refused++;
      return true;
    }
    this.#heldBack.delete(subject);
    return false;
  }

  isCallerBanned(identity: Identity): boolean {
    const keyId = this.#keys.size === 0 ? undefined : keyOf(identity);
    if (!this.#users.has(identity.account ?? identity.subject) && (keyId === undefined || !this.#keys.has(keyId)))
      return false;
    this.#refused++;
    return true;
  }

  /** An exchange has its response. Not called for refusals because of a ban. */
  ended(exchange: EndedExchange): void {
    if (this.#counters.size === 0) return;
    const driven = isDriven(exchange);
    const observe = (event: AbuseEvent): void => this.observe(event, exchange.address, exchange.identity, driven);
    switch (exchange.fault?.kind.status ?? exchange.outcome ?? exchange.status) {
      case 401:
        observe(isSignIn(exchange) ? 'failedLogin' : 'unauthorized');
        break;
      case 403:
        if (exchange.fault?.kind.reason === 'banned' || exchange.fault?.kind.reason === 'address_denied') return;
        observe('forbidden');
        break;
      case 404:
        observe('notFound');
        if (this.#isScan(exchange.path)) observe('scan');
        break;
      case 429:
        observe('tooMany');
        break;
    }
  }

  /** The parser refused a head from this address. */
  refused(address: string): void {
    this.observe('malformed', address, null);
  }

  /** `driven`: a page of another site caused it. */
  observe(event: AbuseEvent, address: string, identity: Identity | null, driven = false): void {
    const counters = this.#counters.get(event);
    if (counters === undefined || this.#exempt.has(address)) return;
    this.#events[event] = (this.#events[event] ?? 0) + 1;
    const nowMs = this.#table.time.nowMs();
    for (const counter of counters) {
      if (driven) this.#countDriven(counter, address, nowMs);
      else this.#count(counter, address, identity, nowMs);
    }
  }

  counts(): AbuseCounts {
    return { events: { ...this.#events }, trips: this.#trips, refused: this.#refused };
  }

  #flatCounts(): Record<string, number> {
    const counts: Record<string, number> = { 'abuse trips': this.#trips, 'abuse refused': this.#refused };
    for (const [event, count] of Object.entries(this.#events)) counts[`event ${event}`] = count;
    return counts;
  }

  #configure({ rules, exempt, scanPaths }: AbuseRules): void {
    this.#counters.clear();
    this.#exempt = exempt.length === 0 ? NOBODY : new BlockSet(exempt);
    this.#scanPaths = scanPaths;
    const { hash } = this.#table;
    for (const { name, events, by, limit } of rules) {
      const rule = new Rule(limit, `abuse ${name}`, by, hash);
      const tellOnce = { limit: 1, windowMs: TELL_EVERY_MS, algorithm: 'gcra', burst: 1 } as const;
      const reported = new Rule(tellOnce, `abuse told ${name}`, by, hash);
      const driven = new Rule(limit, `abuse driven ${name}`, by, hash);
      for (const event of events) {
        this.#counters.set(event, [...(this.#counters.get(event) ?? []), { name, by, rule, reported, driven }]);
      }
    }
  }

  #count({ name, by, rule, reported }: Counter, address: string, identity: Identity | null, nowMs: number): void {
    const { hash } = this.#table;
    let subject: string | undefined;
    if (by === 'address') {
      const family = readAddress(address, this.#words);
      if (family === 0) return;
      hash.words(this.#words, family === 4 ? 1 : 2);
    } else {
      subject =
        identity === null ? undefined : by === 'user' ? (identity.account ?? identity.subject) : keyOf(identity);
      if (subject === undefined) return;
      hash.text(subject);
    }
    const { a, b } = hash;
    if (this.#table.charge(rule, a, b, nowMs, 1) !== DENIED) return;
    if (this.#table.charge(reported, a, b, nowMs, 1) !== CHARGED) return;
    this.#trips++;
    const trip: AbuseTrip = { rule: name, kind: by, subject: subject ?? addressSubject(address, this.#words) };
    this.#control.tell(TRIP_TOPIC, trip);
  }

  #countDriven({ by, driven }: Counter, address: string, nowMs: number): void {
    if (by !== 'address') return;
    const family = readAddress(address, this.#words);
    if (family === 0) return;
    const { hash } = this.#table;
    hash.words(this.#words, family === 4 ? 1 : 2);
    if (this.#table.charge(driven, hash.a, hash.b, nowMs, 1) !== DENIED) return;
    const subject = addressSubject(address, this.#words);
    this.#heldBack.delete(subject);
    this.#heldBack.set(subject, nowMs + HOLD_BACK_MS);
    const oldest = this.#heldBack.size > MOST_HELD_BACK ? this.#heldBack.keys().next().value : undefined;
    if (oldest !== undefined) this.#heldBack.delete(oldest);
  }

  #isScan(path: string): boolean {
    const lower = path.toLowerCase();
    return this.#scanPaths.some((part) => lower.includes(part));
  }
}

/** Browsers say of each request which site caused it (Fetch Metadata); a person who types an address is `none`. */
const isDriven = (exchange: Pick<PolicyContext, 'header'>): boolean =>
  exchange.header('sec-fetch-site') === 'cross-site';

/** Routes of the identity service; it responds with 401 to a POST after a failed sign-in. */
const SIGN_IN_ROUTES = 'builtin:identity';

function isSignIn({ method, routeId }: EndedExchange): boolean {
  return method === 'POST' && routeId.startsWith(SIGN_IN_ROUTES);
}

/** IPv6 callers are banned by /64, as they are counted. */
function addressSubject(address: string, words: Int32Array): string {
  if (readAddress(address, words) === 4) return address;
  const groups = [0, 1].flatMap((i) => [((words[i] as number) >>> 16) & 0xffff, (words[i] as number) & 0xffff]);
  return `${groups.map((group) => group.toString(16)).join(':')}::/64`;
}

function keyOf(identity: Identity): string | undefined {
  const keyId = identity.claims['key_id'];
  return identity.method === 'apiKey' && typeof keyId === 'string' ? keyId : undefined;
}
