/**
 * Forward authentication: an outside authorizer sees the request's head and decides. Asked through control (topic
 * `auth:external`), which keeps the connections; see introspector.ts for why. Its 2xx lets the request on with the
 * fields that it gives; 401 and 403 refuse; anything else means that it could not decide. Owner: one worker.
 */
import type { Clock } from '../../../base/clock.ts';
import { FAULTS, Fault, messageOf } from '../../../base/errors.ts';
import { SingleFlight } from '../../../base/single-flight.ts';
import {
  EXTERNAL_TOPIC,
  type ExternalQuestion,
  type ExternalResponse,
  type ExternalSettings,
} from '../../contract/auth.ts';
import type { ControlLink, Identity, PolicyContext, Reply } from '../../contract/policy.ts';
import { PreparedIdentity } from '../identity.ts';
import type { HeaderMaker } from '../identity-headers.ts';
import { TokenCache } from '../jwt/token-cache.ts';
import { type AuthMethod, PassedReply, type Refusal, Unavailable, type Verdict } from './method.ts';

/** Most questions under way, per route; beyond it the authorizer is taken as not reachable. */
const MOST_QUESTIONS = 512;

type Untraced = Omit<ExternalQuestion, 'traceparent'>;

interface Judged {
  readonly verdict: Identity | Refusal | PassedReply;
  /** Names and values for the upstream request. */
  readonly copied: readonly (readonly [string, string])[];
  readonly validUntilMs: number;
}

export class ExternalMethod implements AuthMethod {
  readonly cache: TokenCache<Judged>;
  readonly #settings: ExternalSettings;
  readonly #control: ControlLink;
  readonly #clock: Clock;
  readonly #headers: HeaderMaker;
  readonly #flights = new SingleFlight<Judged | Unavailable>(MOST_QUESTIONS);
  #asked = 0;
  /** Every spelling of `copyHeaders`: what the authorizer says, a caller may not. */
  readonly #reserved: readonly string[];

  constructor(settings: ExternalSettings, control: ControlLink, clock: Clock, headers: HeaderMaker) {
    this.#settings = settings;
    this.#control = control;
    this.#clock = clock;
    this.#headers = headers;
    this.cache = new TokenCache(clock, settings.cacheEntries, settings.cacheMs);
    this.#reserved = settings.copyHeaders.flatMap(spellings);
  }

  /** On every request of the route, by whatever method its caller comes. */
  strip(exchange: PolicyContext): void {
    for (const name of this.#reserved) exchange.removeUpstreamHeader(name);
  }

  authenticate(exchange: PolicyContext): Verdict | Promise<Verdict> {
    const question = this.#question(exchange);
    // The whole question is the key: two requests share a response only when the authorizer would see the same. Who
    // asks for every request (`cacheMs: 0`) shares none, since the authorizer may count.
    if (this.#settings.cacheMs === 0) {
      if (this.#flights.size >= MOST_QUESTIONS) return new Unavailable('too many external questions under way');
      // Each under a name of its own. The id of a request is none: its client may have chosen another one's.
      return this.#flights
        .join(`${++this.#asked}`, () => this.#ask(question, exchange, null))!
        .then((judged) => apply(judged, exchange));
    }
    const { requestId: _, ...same } = question;
    const cacheKey = JSON.stringify(same);
    const known = this.cache.get(cacheKey, this.#clock.wallMs());
    if (known !== undefined) return apply(known, exchange);
    const flight = this.#flights.join(cacheKey, () => this.#ask(question, exchange, cacheKey));
    if (flight === null) return new Unavailable('too many external questions under way');
    return flight.then((judged) => apply(judged, exchange));
  }

  /** The authorizer judged the whole request; which field was the credential is not known here. */
  hide(): void {}

  challenge(): null {
    return null;
  }

  #question(exchange: PolicyContext): Untraced {
    const headers: Record<string, string> = {};
    for (const name of this.#settings.sendHeaders) {
      const value = exchange.header(name);
      if (value !== null) headers[name] = value;
    }
    return {
      id: this.#settings.id,
      method: exchange.method,
      scheme: exchange.scheme,
      host: exchange.header('host') ?? exchange.host,
      uri: exchange.query === '' ? exchange.path : `${exchange.path}?${exchange.query}`,
      address: exchange.address,
      requestId: exchange.requestId,
      headers,
    };
  }

  async #ask(asked: Untraced, exchange: PolicyContext, cacheKey: string | null): Promise<Judged | Unavailable> {
    const traceparent = exchange.traceparentFor?.(this.#settings.host) ?? null;
    const question: ExternalQuestion = { ...asked, traceparent };
    let response: ExternalResponse;
    try {
      response = (await this.#control.ask(EXTERNAL_TOPIC, question, this.#settings.timeoutMs)) as ExternalResponse;
    } catch (error) {
      return new Unavailable(`external: ${messageOf(error)}`);
    }
    const judged = this.#judge(response);
    if (cacheKey !== null && !(judged instanceof Unavailable)) this.cache.set(cacheKey, judged);
    return judged;
  }

  #judge(response: ExternalResponse): Judged | Unavailable {
    const { status, headers } = response;
    const validUntilMs = this.cache.validUntilMs(this.#clock.wallMs(), Number.POSITIVE_INFINITY);
    if (status >= 200 && status < 300) {
      const copied = this.#settings.copyHeaders.flatMap((name) => {
        const value = headers[name];
        return value === undefined ? [] : [[name, value] as const];
      });
      return { verdict: this.#identityOf(headers), copied, validUntilMs };
    }
    const refusal = status === 401 || status === 403 || (status >= 300 && status < 400);
    if (!refusal) return new Unavailable(`external: the authorizer answered ${status}`);
    if (this.#settings.passRefusal) {
      return { verdict: new PassedReply(replyOf(response)), copied: [], validUntilMs };
    }
    const forbidden = new PassedReply(new Fault(FAULTS.insufficientPermissions, { cause: 'denied' }));
    return { verdict: status === 403 ? forbidden : 'denied', copied: [], validUntilMs };
  }

  #identityOf(headers: Readonly<Record<string, string>>): Identity {
    const { subjectHeader, rolesHeader, scopesHeader, id } = this.#settings;
    // RFC 9110 §5.6.1: members of a field's list are apart by commas; only scopes are by blanks (RFC 6749 §3.3).
    const list = (name: string | null, between: RegExp): string[] =>
      name === null ? [] : (headers[name] ?? '').split(between).filter((word) => word !== '');
    const named = subjectHeader === null ? '' : (headers[subjectHeader] ?? '');
    // Without a name everybody is one subject; the identity then says only that the authorizer agreed.
    const subject = named === '' ? `external:${id}` : named;
    const roles = list(rolesHeader, /[ \t]*,[ \t]*/).map((role) => role.trim());
    const facts = { method: 'external', subject, roles, scopes: list(scopesHeader, /[ \t]+/), plan: null };
    const identity = new PreparedIdentity(facts, { sub: subject }, this.#headers);
    identity.isNameless = named === '';
    return identity;
  }
}

function apply(judged: Judged | Unavailable, exchange: PolicyContext): Verdict {
  if (judged instanceof Unavailable) return judged;
  for (const [name, value] of judged.copied) exchange.setUpstreamHeader(name, value);
  return judged.verdict;
}

/** Fields of a refusal that mean something to the caller; the rest is between the gateway and the authorizer. */
const PASSED_FIELDS = ['content-type', 'location', 'www-authenticate', 'set-cookie', 'cache-control', 'retry-after'];

function replyOf({ status, headers, body }: ExternalResponse): Reply {
  const passed: Record<string, string> = {};
  for (const name of PASSED_FIELDS) if (headers[name] !== undefined) passed[name] = headers[name];
  return { status, headers: passed, body };
}

/** `remote-user` and `remote_user`: CGI-style upstreams read both as one. */
function spellings(name: string): string[] {
  const parts = name.split('-');
  let made = [parts[0]!];
  for (const part of parts.slice(1, 7)) made = made.flatMap((start) => [`${start}-${part}`, `${start}_${part}`]);
  return parts.length > 7 ? [name, name.replaceAll('-', '_')] : made;
}
