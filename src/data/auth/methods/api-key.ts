/**
 * API keys from a field or, where the configuration allows it, a query parameter: first the configured ones
 * (`API_KEY_n`), found by their digest, then those of the identity service, asked for through control and remembered
 * for seconds, good and bad. Only digests are kept. Owner: one worker.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { SingleFlight } from '../../../base/single-flight.ts';
import {
  API_KEY_TOPIC,
  type ApiKeyAnswer,
  type ApiKeyQuestion,
  type ApiKeySettings,
  type StaticApiKey,
} from '../../contract/auth.ts';
import type { ControlLink, Identity, PolicyContext } from '../../contract/policy.ts';
import type { Secrets } from '../../contract/snapshot.ts';
import { PreparedIdentity } from '../identity.ts';
import type { HeaderMaker } from '../identity-headers.ts';
import { TokenCache } from '../jwt/token-cache.ts';
import { type AuthMethod, type Refusal, Unavailable, type Verdict } from './method.ts';

const MAX_KEY_LENGTH = 512;
/** Visible ASCII: also what joins several fields of one name (`, `) is refused by it. */
const KEY_TEXT = /^[\x21-\x2b\x2d-\x7e]+$/;
/** Most different keys that may be in question at once. */
const MOST_QUESTIONS = 256;

interface Judged {
  readonly verdict: Identity | Refusal;
  readonly validUntilMs: number;
}

/** SHA-256, base64url: how a configured key is written down. A lookup by digest tells nothing by its timing. */
export function digestOfKey(key: string): string {
  return hash('sha256', key, 'base64url');
}

/** The keys and what was learned of them; shared by the routes with the same settings. */
export class ApiKeyJudge {
  readonly cache: TokenCache<Judged>;
  readonly clearsOnRevocation = true;
  readonly #settings: ApiKeySettings;
  readonly #control: ControlLink;
  readonly #clock: Clock;
  readonly #headers: HeaderMaker;
  readonly #configured = new Map<string, Identity>();
  readonly #flights = new SingleFlight<Identity | Refusal | Unavailable>(MOST_QUESTIONS);

  constructor(settings: ApiKeySettings, secrets: Secrets, control: ControlLink, clock: Clock, headers: HeaderMaker) {
    this.#settings = settings;
    this.#control = control;
    this.#clock = clock;
    this.#headers = headers;
    this.cache = new TokenCache(clock, settings.cacheEntries, settings.cacheMs);
    if (settings.keys === null) return;
    const text = secrets[settings.keys];
    if (text === undefined) throw new TypeError(`there is no secret ${settings.keys}`);
    for (const key of JSON.parse(text) as readonly StaticApiKey[]) {
      this.#configured.set(key.digest, this.#identityOf(key, key.id));
    }
  }

  judge(key: string, address: string): Identity | Refusal | Unavailable | Promise<Identity | Refusal | Unavailable> {
    if (key.length > MAX_KEY_LENGTH) return 'oversized';
    if (!KEY_TEXT.test(key)) return 'malformed';
    const digest = digestOfKey(key);
    const configured = this.#configured.get(digest);
    if (configured !== undefined) return configured;
    if (!this.#settings.askIdentity) return 'unknown_credential';
    const cacheKey = `${digest} ${address}`;
    const known = this.cache.get(cacheKey, this.#clock.wallMs());
    if (known !== undefined) return known.verdict;
    return (
      this.#flights.join(cacheKey, () => this.#ask({ key, address }, cacheKey)) ??
      new Unavailable('too many API keys in question')
    );
  }

  async #ask(question: ApiKeyQuestion, cacheKey: string): Promise<Identity | Refusal | Unavailable> {
    let answer: unknown;
    const clearedBefore = this.cache.clears;
    try {
      answer = await this.#control.ask(API_KEY_TOPIC, question, this.#settings.timeoutMs);
    } catch (error) {
      return new Unavailable(`API key: ${messageOf(error)}`);
    }
    const nowMs = this.#clock.wallMs();
    const found = answer as ApiKeyAnswer | null;
    const expiresAtMs = found?.expiresAt ?? Number.POSITIVE_INFINITY;
    const good = found !== null && nowMs < expiresAtMs;
    const verdict = good ? this.#identityOf(found, found.keyId, found.claims, expiresAtMs) : 'unknown_credential';
    const untilMs = good ? expiresAtMs : nowMs + this.#settings.refusedCacheMs;
    // An answer that overtook a revocation serves the request that asked for it and no other.
    if (this.cache.clears === clearedBefore) {
      this.cache.set(cacheKey, { verdict, validUntilMs: this.cache.validUntilMs(nowMs, untilMs) });
    }
    return verdict;
  }

  #identityOf(
    key: Pick<StaticApiKey, 'subject' | 'roles' | 'scopes' | 'plan'>,
    id: string,
    claims: Readonly<Record<string, unknown>> = {},
    endsAtMs = Number.POSITIVE_INFINITY,
  ): Identity {
    const { subject, roles, scopes, plan } = key;
    const facts = { method: 'apiKey', subject, roles, scopes, plan };
    return new PreparedIdentity(facts, { ...claims, sub: subject, key_id: id }, this.#headers, endsAtMs);
  }
}

export class ApiKeyMethod implements AuthMethod {
  readonly #header: string;
  readonly #query: string | null;
  readonly #judge: ApiKeyJudge;

  constructor(settings: ApiKeySettings, judge: ApiKeyJudge) {
    this.#header = settings.header;
    this.#query = settings.query;
    this.#judge = judge;
  }

  authenticate(exchange: PolicyContext): Verdict | Promise<Verdict> {
    const key = exchange.header(this.#header) ?? (this.#query === null ? null : fromQuery(exchange.query, this.#query));
    return key === null || key === '' ? null : this.#judge.judge(key, exchange.address);
  }

  /** A key in the query stays: the query is forwarded as it came. */
  hide(exchange: PolicyContext): void {
    exchange.removeUpstreamHeader(this.#header);
  }

  /** RFC 9110 §11.6.1 wants a challenge with every 401, and no scheme is registered for keys. */
  challenge(realm: string): string {
    return `ApiKey realm="${realm}"`;
  }
}

/**
 * The value of a parameter that occurs once; twice is no value that everybody reads alike, so it is refused as text.
 */
function fromQuery(query: string, name: string): string | null {
  if (!query.includes(name)) return null;
  const values = new URLSearchParams(query).getAll(name);
  return values.length === 0 ? null : values.join(', ');
}
