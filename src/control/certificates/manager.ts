/**
 * Sees to it that every name has a certificate: orders missing ones, renews old ones, waits longer
 * after each failure and at least as long as the authority says, and remembers that across restarts, so that a gateway
 * in a restart loop does not use up what the authority allows. One order at a time; where gateways share a storage, one
 * of them orders a name and the others take what it got.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import { jittered } from '../../base/system-timers.ts';
import { OrderError } from './authority.ts';
import type { CertificateEnd } from './ends.ts';
import { type KeptCertificate, parseKept } from './kept.ts';
import { fileOf } from './names.ts';
import type { ChallengeKind } from './options.ts';
import { type CertificateStorage, writePrivate } from './storage.ts';

export interface ManagerOptions {
  readonly storage: CertificateStorage;
  /** Folder of the certificates that workers get: those of this gateway, or its copies of what is shared. */
  readonly folder: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Counted up. */
  readonly orders: { issued: number; failed: number };
  /** [0, 1) */
  readonly random: () => number;
  /** Rejects with an `OrderError`, soon when `signal` is aborted. */
  readonly order: (name: string, kind: ChallengeKind, signal: AbortSignal) => Promise<string>;
  /** Certificates in the folder changed. */
  readonly changed: () => Promise<void>;
  /** Between two looks at a shared storage. */
  readonly pollMs: number;
}

export interface Wishes {
  readonly names: readonly string[];
  readonly challenges: readonly ChallengeKind[];
  readonly renewAtRatio: number;
}

export interface CertificateReport {
  readonly name: string;
  readonly source: string;
  /** ISO 8601, or null without a certificate. */
  readonly validUntil: string | null;
  readonly renewAt: string | null;
  /** An order is under way, or asked for by an operator. */
  readonly ordering: boolean;
  readonly failures: number;
  readonly nextTryAt: string | null;
  readonly problem: string | null;
}

interface Trouble {
  failures: number;
  notBeforeMs: number;
  problem: string | null;
  /** It could not be kept. */
  unwritten: boolean;
}

interface State extends Trouble {
  kept: KeptCertificate | null;
  renewAtMs: number;
  /** What `renewAtMs` was worked out with. */
  renewAtRatio: number;
}

const FIRST_BACKOFF_MS = 60_000;
const MAX_BACKOFF_MS = 6 * 3_600_000;
const JITTER = 0.1;
/** An order takes minutes at most; another gateway takes over when this one died in it. */
const LOCK_MS = 15 * 60_000;
const LONGEST_SLEEP_MS = 3_600_000;
/** What is kept says no more than this: a clock that was wrong must not hold renewals up for years. */
const LONGEST_WAIT_MS = 7 * 86_400_000;
const SHORTEST_SLEEP_MS = 1_000;

const NO_TROUBLE: Trouble = { failures: 0, notBeforeMs: 0, problem: null, unwritten: false };

/** What cannot be read is none: a file that is broken must not keep the name without a certificate. */
function parseTrouble(text: string | null, nowMs: number): Trouble {
  if (text === null) return NO_TROUBLE;
  try {
    const { failures, notBeforeMs, problem } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (!Number.isSafeInteger(failures) || typeof notBeforeMs !== 'number') return NO_TROUBLE;
    return {
      failures: Math.min(Math.max(failures as number, 0), 1_000),
      notBeforeMs: Math.min(Math.max(notBeforeMs, 0), nowMs + LONGEST_WAIT_MS),
      problem: typeof problem === 'string' ? problem : null,
      unwritten: false,
    };
  } catch {
    return NO_TROUBLE;
  }
}

export class CertificateManager {
  readonly #options: ManagerOptions;
  readonly #states = new Map<string, State>();
  #wishes: Wishes;
  #cancel: Cancel = () => {};
  #running: Promise<void> = Promise.resolve();
  #ordering: { readonly name: string; readonly abort: AbortController } | undefined;
  /** Names that an operator wants ordered now. */
  readonly #asked = new Set<string>();
  #isClosed = false;

  constructor(options: ManagerOptions, wishes: Wishes) {
    this.#options = options;
    this.#wishes = wishes;
  }

  /** Takes what is kept already; rejects when the storage is away. Orders nothing yet. */
  async open(): Promise<void> {
    if (await this.#refresh()) await this.#options.changed();
  }

  /** Begins to order, or goes on with other wishes; an order for a name that nobody wants any more is given up. */
  run(wishes: Wishes): void {
    this.#wishes = wishes;
    for (const name of this.#states.keys()) if (!wishes.names.includes(name)) this.#states.delete(name);
    if (this.#ordering !== undefined && !wishes.names.includes(this.#ordering.name)) this.#ordering.abort.abort();
    for (const name of this.#asked) if (!wishes.names.includes(name)) this.#asked.delete(name);
    this.#nextRound();
  }

  /**
   * Orders it, whatever is left of the certificate there is and of the wait after a failure: as soon as the order under
   * way is over. False: it is none of the names.
   */
  orderNow(name: string): boolean {
    if (!this.#wishes.names.includes(name)) return false;
    if (this.#ordering?.name === name) return true;
    this.#asked.add(name);
    this.#nextRound();
    return true;
  }

  #nextRound(): void {
    this.#cancel();
    this.#running = this.#running.then(() => this.#round());
  }

  report(): CertificateReport[] {
    const time = (ms: number): string => new Date(ms).toISOString();
    return [...this.#states].map(([name, { kept, renewAtMs, failures, notBeforeMs, problem }]) => ({
      name,
      source: 'acme',
      validUntil: kept === null ? null : time(kept.notAfterMs),
      renewAt: kept === null ? null : time(renewAtMs),
      ordering: this.#ordering?.name === name || this.#asked.has(name),
      failures,
      nextTryAt: failures === 0 ? null : time(notBeforeMs),
      problem,
    }));
  }

  ends(): CertificateEnd[] {
    return [...this.#states].flatMap(([name, { kept }]) =>
      kept === null ? [] : [{ name, source: 'acme', endsAtMs: kept.notAfterMs }],
    );
  }

  /** Gives up the order under way, if there is one, and resolves when its proof is taken away. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#ordering?.abort.abort();
    this.#cancel();
    await this.#running;
  }

  async #round(): Promise<void> {
    const { log } = this.#options;
    try {
      if (await this.#refresh()) await this.#options.changed();
      for (const name of this.#wishes.names) {
        if (this.#isClosed) return;
        if (this.#isDue(name)) await this.#order(name);
      }
    } catch (error) {
      log.error('certificates could not be looked after', { problem: messageOf(error) });
    }
    if (this.#isClosed) return;
    this.#cancel();
    this.#cancel = this.#options.timers.after(this.#sleepMs(), () => {
      this.#running = this.#running.then(() => this.#round());
    });
  }

  /** Reads what is kept of each name. True when there is another certificate than before. */
  async #refresh(): Promise<boolean> {
    const { storage, folder } = this.#options;
    let isChanged = false;
    for (const name of this.#wishes.names) {
      const kept = parseKept((await storage.read(`certificate/${name}`)) ?? '');
      const trouble = parseTrouble(await storage.read(`trouble/${name}`), this.#options.clock.wallMs());
      const before = this.#states.get(name);
      // A storage that can be read and not written has forgotten what this gateway knows.
      const isNewer = before?.unwritten === true && before.notBeforeMs > trouble.notBeforeMs;
      const { renewAtRatio } = this.#wishes;
      const isSame = before !== undefined && before.kept?.pem === kept?.pem && before.renewAtRatio === renewAtRatio;
      const renewAtMs = isSame ? before.renewAtMs : this.#renewAt(kept);
      const state: State = { ...(isNewer ? before : trouble), kept, renewAtMs, renewAtRatio };
      this.#states.set(name, state);
      if (kept === null || before?.kept?.pem === kept.pem) continue;
      await writePrivate(folder, fileOf(folder, name), kept.pem);
      isChanged = true;
    }
    return isChanged;
  }

  /** Spread, so that a thousand gateways that started together do not renew together. */
  #renewAt(kept: KeptCertificate | null): number {
    if (kept === null) return 0;
    const left = (kept.notAfterMs - kept.notBeforeMs) * this.#wishes.renewAtRatio;
    return kept.notAfterMs - jittered(left, JITTER, this.#options.random);
  }

  #isDue(name: string): boolean {
    const state = this.#states.get(name);
    const nowMs = this.#options.clock.wallMs();
    if (state !== undefined && this.#asked.has(name)) return true;
    return state !== undefined && nowMs >= state.renewAtMs && nowMs >= state.notBeforeMs;
  }

  async #order(name: string): Promise<void> {
    const { storage, log, folder, clock } = this.#options;
    if (!(await storage.lock(`order/${name}`, LOCK_MS))) return;
    try {
      // Another gateway may have been faster, or the name is no longer wanted.
      const isChanged = await this.#refresh();
      if (isChanged) this.#asked.delete(name);
      const state = this.#states.get(name);
      if (state === undefined || !this.#isDue(name)) return isChanged ? await this.#options.changed() : undefined;
      const { challenges } = this.#wishes;
      const kind = challenges[state.failures % challenges.length]!;
      log.info('a certificate is ordered', { name, challenge: kind, renewal: state.kept !== null });
      let pem: string;
      const abort = new AbortController();
      this.#ordering = { name, abort };
      this.#asked.delete(name);
      if (this.#isClosed) abort.abort();
      try {
        // What the authority issues and cannot be kept is ordered again and again, until it refuses.
        await storage.write(`trial/${name}`, '');
        await storage.remove(`trial/${name}`);
        pem = await this.#options.order(name, kind, abort.signal);
        this.#options.orders.issued++;
        await storage.write(`certificate/${name}`, pem);
        await storage.remove(`trouble/${name}`);
        await writePrivate(folder, fileOf(folder, name), pem);
      } catch (error) {
        if (abort.signal.aborted) return log.info('the order of a certificate was given up', { name });
        return await this.#failed(name, state, kind, error);
      }
      const kept = parseKept(pem);
      // One that is due at once, since it is for a moment or was dated back, is not ordered once a second.
      const renewAtMs = Math.max(this.#renewAt(kept), clock.wallMs() + FIRST_BACKOFF_MS);
      const { names, renewAtRatio } = this.#wishes;
      if (names.includes(name)) this.#states.set(name, { kept, renewAtMs, renewAtRatio, ...NO_TROUBLE });
      // Who reads that it was issued finds it in use.
      await this.#options.changed();
      const days = ((kept?.notAfterMs ?? 0) - clock.wallMs()) / 86_400_000;
      log.info('a certificate was issued', { name, validForDays: Math.round(days * 10) / 10 });
    } finally {
      // Only now: who sees that it is over finds the certificate in use.
      this.#ordering = undefined;
      await storage.unlock(`order/${name}`);
    }
  }

  async #failed(name: string, state: State, kind: ChallengeKind, error: unknown): Promise<void> {
    this.#options.orders.failed++;
    state.failures++;
    state.problem = messageOf(error);
    const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** (state.failures - 1), MAX_BACKOFF_MS);
    const wishedMs = error instanceof OrderError ? error.retryAfterMs : 0;
    const waitMs = Math.max(jittered(backoffMs, JITTER, this.#options.random), wishedMs);
    state.notBeforeMs = Math.ceil(this.#options.clock.wallMs() + waitMs);
    const { failures, notBeforeMs, problem } = state;
    const written = JSON.stringify({ failures, notBeforeMs, problem });
    state.unwritten = await this.#options.storage.write(`trouble/${name}`, written).then(
      () => false,
      () => true,
    );
    const fields = { name, challenge: kind, problem, failures, nextTry: new Date(notBeforeMs).toISOString() };
    if (state.kept === null) this.#options.log.error('there is no certificate: the order failed', fields);
    else
      this.#options.log.warn('a certificate was not renewed, the old one stays', {
        ...fields,
        validUntil: new Date(state.kept.notAfterMs).toISOString(),
      });
  }

  #sleepMs(): number {
    const nowMs = this.#options.clock.wallMs();
    const next = Math.min(
      ...[...this.#states.values()].map(({ renewAtMs, notBeforeMs }) => Math.max(renewAtMs, notBeforeMs)),
    );
    const untilNext = Math.max(next - nowMs, SHORTEST_SLEEP_MS);
    // Another gateway was at it, or the storage could not be read.
    if (this.#asked.size > 0) return Math.min(untilNext, this.#options.pollMs);
    return Math.min(untilNext, this.#options.storage.isShared ? this.#options.pollMs : LONGEST_SLEEP_MS);
  }
}
