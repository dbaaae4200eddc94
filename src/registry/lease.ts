/**
 * One registration, kept alive: heartbeats at a third of the lease, a new registration when the gateway does not know
 * us any more, back-off when it cannot be reached. One call is under way at a time. Once registered, its timers do not
 * keep the process alive. Time and chance are handed in by tests.
 */
import type { Granted, RegistryCalls } from './calls.ts';
import type { Lease, LeaseChanges, LeaseEvent } from './options.ts';
import { RegistrationError } from './options.ts';

export interface LeaseTools {
  /** Runs once after `ms`; `keepAlive` says whether the process waits for it. Returns the way out. */
  after(ms: number, keepAlive: boolean, run: () => void): () => void;
  /** A number in [0, 1). */
  random(): number;
}

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 15_000;

export class KeptLease implements Lease {
  readonly #calls: RegistryCalls;
  readonly #tools: LeaseTools;
  readonly #tell: (event: LeaseEvent) => void;
  #changes: LeaseChanges;
  /** Changes that the gateway has not heard of yet. */
  #unsent: LeaseChanges = {};
  #granted: Granted | undefined;
  #everRegistered = false;
  #closing: Promise<void> | undefined;
  #failures = 0;
  /** The end of the call under way; never rejects. */
  #busy: Promise<unknown> = Promise.resolve();
  #cancelTimer: () => void = () => {};
  #wake: () => void = () => {};

  constructor(
    calls: RegistryCalls,
    changes: LeaseChanges,
    tools: LeaseTools,
    tell: (event: LeaseEvent) => void = () => {},
  ) {
    this.#calls = calls;
    this.#changes = changes;
    this.#tools = tools;
    this.#tell = tell;
  }

  get id(): string {
    return this.#granted?.id ?? '';
  }

  get state(): Lease['state'] {
    if (this.#closing !== undefined) return 'closed';
    if (this.#granted === undefined || this.#failures > 0) return 'lost';
    return this.#granted.held ? 'held' : 'active';
  }

  /** The first registration: goes on while the gateway cannot be reached, rejects when it refuses what we say. */
  async open(signal?: AbortSignal): Promise<void> {
    const onAbort = (): void => {
      this.#cancelTimer();
      this.#wake();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        signal?.throwIfAborted();
        try {
          this.#take(await this.#calls.register(this.#changes), true);
          break;
        } catch (error) {
          if (isMistake(error)) throw error;
          await this.#pause(this.#failed(error));
        }
      }
      if (signal?.aborted) {
        await this.close();
        signal.throwIfAborted();
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    this.#plan();
  }

  async update(changes: LeaseChanges): Promise<void> {
    if (this.#closing !== undefined) throw new Error('the lease is closed');
    this.#changes = { ...this.#changes, ...changes };
    this.#unsent = { ...this.#unsent, ...changes };
    this.#cancelTimer();
    try {
      await this.#alone(() => this.#beat());
    } finally {
      this.#plan();
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave();
    return this.#closing;
  }

  async #leave(): Promise<void> {
    this.#cancelTimer();
    // A registration under way would otherwise come alive after we left.
    await this.#busy;
    const id = this.#granted?.id;
    // Whatever fails here, the lease runs out by itself.
    if (id !== undefined) await this.#calls.deregister(id).catch(() => {});
    this.#tell({ type: 'closed' });
  }

  #plan(retryInMs?: number): void {
    if (this.#closing !== undefined) return;
    const thirdMs = (this.#granted?.leaseMs ?? MAX_RETRY_MS) / 3;
    // A tenth by chance: a fleet that started together should not beat together.
    const inMs = retryInMs ?? thirdMs * (0.9 + 0.2 * this.#tools.random());
    this.#cancelTimer();
    this.#cancelTimer = this.#tools.after(inMs, false, () => void this.#keep());
  }

  async #keep(): Promise<void> {
    try {
      await this.#alone(() => this.#beat());
      this.#plan();
    } catch (error) {
      if (this.#closing === undefined) this.#plan(this.#failed(error));
    }
  }

  /** A heartbeat; a new registration where there is none any more. */
  async #beat(): Promise<void> {
    if (this.#closing !== undefined) return;
    const unsent = this.#unsent;
    this.#unsent = {};
    try {
      await this.#reach(unsent);
    } catch (error) {
      // They go with the next heartbeat; what was changed meanwhile is newer.
      this.#unsent = { ...unsent, ...this.#unsent };
      throw error;
    }
  }

  async #reach(changes: LeaseChanges): Promise<void> {
    if (this.#granted !== undefined) {
      try {
        this.#take(await this.#calls.heartbeat(this.#granted.id, changes), false);
        return;
      } catch (error) {
        if (!(error instanceof RegistrationError && error.status === 404)) throw error;
        this.#granted = undefined;
      }
    }
    this.#take(await this.#calls.register(this.#changes), true);
  }

  #take(granted: Granted, isNew: boolean): void {
    const again = this.#everRegistered;
    this.#granted = granted;
    this.#everRegistered = true;
    if (isNew) this.#tell({ type: 'registered', id: granted.id, again, held: granted.held });
    else if (this.#failures > 0) this.#tell({ type: 'recovered' });
    this.#failures = 0;
  }

  /** Notes a failure and says when to try again. */
  #failed(error: unknown): number {
    const ceiling = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 10));
    // Full jitter over the upper half: a fleet that lost its gateway comes back spread out.
    const retryInMs = Math.round(ceiling / 2 + (this.#tools.random() * ceiling) / 2);
    this.#failures++;
    this.#tell({ type: 'failed', reason: reasonOf(error), retryInMs });
    return retryInMs;
  }

  async #alone(run: () => Promise<void>): Promise<void> {
    const before = this.#busy;
    const mine = before.then(run);
    this.#busy = mine.catch(() => {});
    await mine;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      // Until the first registration the process has a reason to live: somebody waits for it.
      this.#cancelTimer = this.#tools.after(ms, true, resolve);
    });
  }
}

/** Said again it would be refused again: a wrong token, service, field. Full registries and busy gateways pass. */
function isMistake(error: unknown): boolean {
  return error instanceof RegistrationError && [400, 401, 403, 404, 405, 413].includes(error.status);
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
