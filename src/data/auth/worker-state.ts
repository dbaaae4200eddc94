/**
 * What the `auth` policies of one worker share and keep across reloads: published keys, revocations, and verifiers with
 * their caches. Routes with equal settings share one verifier; it goes when the last route that uses it is disposed of,
 * and because a reload creates the new routes first, unchanged settings keep their warm cache. Owner: one worker.
 */

import { hash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { type Cancel, every } from '../../base/system-timers.ts';
import type { ControlLink, PolicyEnvironment } from '../contract/policy.ts';
import type { Secrets } from '../contract/snapshot.ts';
import { KeyStore } from './jwt/key-store.ts';
import { Revocations } from './jwt/revocations.ts';
import { LiveStreams } from './live-streams.ts';

/** Something with a cache that routes can share. */
export interface Shared {
  readonly cache: { turn(): void; clear(): void };
  dispose?(): void;
  /** Sessions or tokens were revoked. */
  forget?(revoked: { readonly sids: ReadonlySet<string>; readonly jtis: ReadonlySet<string> }): void;
  /** Keys may have been revoked: forget all answers of the identity service. */
  readonly clearsOnRevocation?: boolean;
}

/** How often idle caches drop what is too old. */
const TURN_EVERY_MS = 15_000;

export class AuthWorkerState {
  readonly keys: KeyStore;
  readonly revocations = new Revocations();
  readonly streams: LiveStreams;
  readonly #shared = new Map<string, { readonly thing: Shared; users: number }>();
  #timer: Cancel | undefined;

  constructor(control: ControlLink, clock: Clock) {
    this.keys = new KeyStore(control);
    this.streams = new LiveStreams(() => clock.wallMs());
    control.subscribe('identity:revoked', (message) => this.#revoked(message));
  }

  static of(environment: PolicyEnvironment): AuthWorkerState {
    return environment.perWorker('auth', () => new AuthWorkerState(environment.control, environment.clock));
  }

  /** The thing made from equal settings before, or a new one. `release` gives it back, once. */
  acquire<T extends Shared>(settingsKey: string, make: () => T): { readonly thing: T; release(): void } {
    let entry = this.#shared.get(settingsKey);
    if (entry === undefined) {
      entry = { thing: make(), users: 0 };
      this.#shared.set(settingsKey, entry);
      this.#timer ??= every(TURN_EVERY_MS, () => this.turn());
    }
    const held = entry;
    held.users++;
    let released = false;
    return {
      thing: held.thing as T,
      release: () => {
        if (released) return;
        released = true;
        held.users--;
        if (held.users > 0) return;
        this.#shared.delete(settingsKey);
        held.thing.dispose?.();
        if (this.#shared.size > 0) return;
        this.#timer?.();
        this.#timer = undefined;
      },
    };
  }

  /** Lets idle caches forget. Public so that tests can do without the timer. */
  turn(): void {
    for (const { thing } of this.#shared.values()) thing.cache.turn();
  }

  get sharedCount(): number {
    return this.#shared.size;
  }

  #revoked(message: unknown): void {
    const fresh = this.revocations.replace(message);
    for (const { thing } of this.#shared.values()) {
      if (fresh.sids.size > 0 || fresh.jtis.size > 0) thing.forget?.(fresh);
      if (thing.clearsOnRevocation === true) thing.cache.clear();
    }
    this.streams.revoked(fresh);
  }
}

/** Members of the settings that are ids into `Secrets`. */
const SECRET_MEMBERS: ReadonlySet<string> = new Set(['secret', 'keys', 'users', 'endpoint']);

/**
 * One key for equal settings: ids of secrets, which name the route, are replaced by a digest of what they stand for,
 * so that two routes that say the same share, and a changed secret does not.
 */
export function settingsKey(kind: string, settings: unknown, secrets: Secrets): string {
  const text = JSON.stringify(settings, (name, value: unknown) => {
    if (typeof value !== 'string' || !SECRET_MEMBERS.has(name)) return value;
    const secret = secrets[value];
    return secret === undefined ? value : `sha256:${hash('sha256', secret, 'base64url')}`;
  });
  return `${kind} ${text}`;
}
