/**
 * Keeps the keys of one outside issuer: fetched in the background, again when a token names a key that is not there,
 * one fetch at a time. Fetches that tokens cause come from a bucket: a few at once, then one per cool-down, so that
 * made-up key ids cost the issuer little; a key id that a fetch did not bring is not asked for again meanwhile. A
 * failed fetch keeps the keys that there are until they are `maxStaleMs` old; then they count no more, because a
 * revoked key might be among them.
 *
 *   start -> fetch -ok-> wait refreshMs (jittered) -> fetch ...
 *                  -failed-> wait 1 s, 2 s, 4 s ... up to a minute -> fetch ...
 *
 * Owner: control/auth/feature.ts, one per source. It tells what it has by `onKeys`.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { backoffMs, type Cancel, jittered, type Timers } from '../../base/system-timers.ts';
import type { Jwk, PublishedKeySource, PublishedKeys } from '../../data/contract/auth.ts';
import type { AskOutside } from './http.ts';

const MAX_SET_BYTES = 512 * 1024;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** Fetches that tokens may cause at once. */
const ASKED_AT_ONCE = 5;
const MOST_ABSENT = 1_000;

export interface JwksFetcherParts {
  readonly ask: AskOutside;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly random: () => number;
  /** After each fetch that brought keys. */
  onKeys(): void;
}

export class JwksFetcher {
  readonly source: PublishedKeySource;
  readonly #parts: JwksFetcherParts;
  #published: PublishedKeys | null = null;
  #flight: Promise<boolean> | null = null;
  /** When the next fetch for a token would be on time. */
  #dueMs = Number.NEGATIVE_INFINITY;
  /** Key ids that a fetch did not bring, and when it was. */
  readonly #absent = new Map<string, number>();
  #isHurrying = false;
  #failures = 0;
  #lastProblem: string | null = null;
  #cancel: Cancel = () => {};
  #stopped = false;

  constructor(source: PublishedKeySource, parts: JwksFetcherParts) {
    this.source = source;
    this.#parts = parts;
  }

  /** The keys, unless there never were any or they are too old. */
  get published(): PublishedKeys | null {
    const { clock } = this.#parts;
    return this.#published !== null && clock.wallMs() < this.#published.expiresAtMs ? this.#published : null;
  }

  /** Why the last fetch failed, or null. */
  get problem(): string | null {
    return this.#lastProblem;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Fetches now and from then on by itself. Resolves with whether keys came; never rejects. */
  start(): Promise<boolean> {
    return this.#fetch();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /**
   * A token named a key that is not there. True: the keys are as new as the question, and a key that is not among them
   * does not exist. False: they could not be had, or too much was asked; the next fetch then comes as soon as it may.
   */
  async refresh(kid: string): Promise<boolean> {
    if (this.#flight !== null) return await this.#flight;
    const nowMs = this.#parts.clock.monotonicMs();
    const { cooldownMs } = this.source;
    const askedMs = this.#absent.get(kid);
    if (askedMs !== undefined && nowMs - askedMs < cooldownMs) return true;
    const dueMs = Math.max(this.#dueMs, nowMs) + cooldownMs;
    if (this.#stopped || dueMs - nowMs > cooldownMs * ASKED_AT_ONCE) {
      this.#fetchAt(dueMs - cooldownMs * ASKED_AT_ONCE - nowMs);
      return false;
    }
    this.#dueMs = dueMs;
    const isFresh = await this.#fetch();
    if (isFresh && this.#published?.keys.some((key) => key.kid === kid) !== true) this.#noteAbsent(kid, nowMs);
    return isFresh;
  }

  #noteAbsent(kid: string, nowMs: number): void {
    this.#absent.delete(kid);
    this.#absent.set(kid, nowMs);
    const oldest = this.#absent.keys().next().value;
    if (this.#absent.size > MOST_ABSENT && oldest !== undefined) this.#absent.delete(oldest);
  }

  /** Once, and sooner than the background would. */
  #fetchAt(waitMs: number): void {
    if (this.#isHurrying || this.#stopped) return;
    this.#isHurrying = true;
    this.#cancel();
    this.#cancel = this.#parts.timers.after(Math.max(0, waitMs), () => void this.#fetch());
  }

  #fetch(): Promise<boolean> {
    this.#cancel();
    this.#isHurrying = false;
    this.#flight ??= this.#fetchOnce().finally(() => {
      this.#flight = null;
      this.#plan();
    });
    return this.#flight;
  }

  #plan(): void {
    if (this.#stopped) return;
    const { timers, random } = this.#parts;
    const failed = this.#lastProblem !== null;
    const delayMs = failed
      ? backoffMs(this.#failures - 1, FIRST_RETRY_MS, LAST_RETRY_MS, random)
      : jittered(this.source.refreshMs, 0.1, random);
    this.#cancel = timers.after(delayMs, () => void this.#fetch());
  }

  async #fetchOnce(): Promise<boolean> {
    const { log, clock, onKeys } = this.#parts;
    const name = this.source.url ?? this.source.discovery ?? '';
    try {
      const keys = await this.#keys();
      if (this.#stopped) return false;
      if (this.#lastProblem !== null) log.info('keys of a token issuer can be fetched again', { issuer: name });
      this.#failures = 0;
      this.#lastProblem = null;
      this.#published = { keys, expiresAtMs: clock.wallMs() + this.source.maxStaleMs };
      onKeys();
      return true;
    } catch (error) {
      const problem = messageOf(error);
      this.#failures++;
      if (this.#lastProblem !== problem)
        log.warn('keys of a token issuer cannot be fetched', { issuer: name, problem });
      this.#lastProblem = problem;
      return false;
    }
  }

  async #keys(): Promise<Jwk[]> {
    const url = this.source.url ?? (await this.#discover(this.source.discovery ?? ''));
    const set = await this.#json(url);
    const list = set['keys'];
    if (!Array.isArray(list)) throw new Error('the answer is not a JWK set');
    const keys = list.filter(isObject).map(publicMembers);
    if (keys.length === 0) throw new Error('the JWK set is empty');
    return keys;
  }

  /** OpenID Connect Discovery §4, then RFC 8414 §3; both say `jwks_uri`, and both must name the issuer exactly. */
  async #discover(issuer: string): Promise<string> {
    const base = new URL(issuer);
    const path = base.pathname.replace(/\/$/, '');
    const openid = `${base.origin}${path}/.well-known/openid-configuration`;
    const oauth = `${base.origin}/.well-known/oauth-authorization-server${path}`;
    const metadata = await this.#json(openid).catch((error: unknown) =>
      this.#json(oauth).catch(() => {
        throw error;
      }),
    );
    if (metadata['issuer'] !== issuer) throw new Error('the metadata are those of another issuer');
    const uri = metadata['jwks_uri'];
    if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('the metadata name no jwks_uri');
    // Who can change the way to the keys can make keys: a safe way there may not lead to an unsafe one.
    const target = new URL(uri);
    const local = ['127.0.0.1', '[::1]', 'localhost'].includes(target.hostname) && base.protocol === 'http:';
    if (target.protocol !== 'https:' && !(target.protocol === 'http:' && local)) {
      throw new Error('the metadata name a jwks_uri that is not https');
    }
    return uri;
  }

  async #json(url: string): Promise<Record<string, unknown>> {
    const { status, body } = await this.#parts.ask({
      url,
      headers: { accept: 'application/json, application/jwk-set+json' },
      timeoutMs: this.source.timeoutMs,
      maxBytes: MAX_SET_BYTES,
    });
    if (status !== 200) throw new Error(`status ${status}`);
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch {
      throw new Error('the response is not JSON');
    }
    if (!isObject(value)) throw new Error('the answer is not a JSON object');
    return value;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Symmetric and private members of a published key go no further. */
function publicMembers(key: Record<string, unknown>): Jwk {
  const members: Record<string, unknown> = {};
  for (const name of ['kty', 'kid', 'use', 'key_ops', 'alg', 'crv', 'x', 'y', 'n', 'e']) {
    if (key[name] !== undefined) members[name] = key[name];
  }
  return members as unknown as Jwk;
}
