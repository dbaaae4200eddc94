/**
 * Tickets: a page cannot set a field on a WebSocket or an EventSource, so it asks for a ticket with its token and opens
 * the connection with `?ticket=...`. A ticket works once, for seconds, and only on routes that the caller could have
 * authenticated on in the way in which it did. What it opens ends as it would have with the credential itself: with its
 * expiry, its session, its key. Owner: one worker.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { AuthSettings } from '../../contract/auth.ts';
import type { ControlLink, PolicyContext } from '../../contract/policy.ts';
import type { Secrets } from '../../contract/snapshot.ts';
import { type TakeQuestion, TICKET_TAKE_TOPIC, TICKET_WITHIN_MS, type TicketHolder } from '../../contract/tickets.ts';
import { PreparedIdentity } from '../identity.ts';
import type { HeaderMaker } from '../identity-headers.ts';
import type { Revocations } from '../jwt/revocations.ts';
import { settingsKey } from '../worker-state.ts';
import { type AuthMethod, type Refusal, Unavailable, type Verdict } from './method.ts';

/** 32 random bytes as base64url. */
const TICKET = /^[A-Za-z0-9_-]{43}$/;
/** Tickets of one route in question at once, per worker. */
const MOST_QUESTIONS = 1_024;

/** Equal for routes on which a caller authenticates in the same ways, with the same issuers, keys and files. */
export function methodsOf(settings: AuthSettings, secrets: Secrets): string {
  const { jwt, introspect, apiKey, basic, mtls, external, mode } = settings;
  const ways = [jwt, introspect, apiKey, basic, mtls, external, mode];
  return hash('sha256', settingsKey('tickets', ways, secrets), 'base64url');
}

export interface TicketParts {
  readonly parameter: string;
  /** See `methodsOf`. */
  readonly methods: string;
  readonly control: ControlLink;
  readonly clock: Clock;
  readonly headers: HeaderMaker;
  readonly revocations: Revocations;
}

export class TicketMethod implements AuthMethod {
  readonly #parts: TicketParts;
  #underWay = 0;

  constructor(parts: TicketParts) {
    this.#parts = parts;
  }

  authenticate(exchange: PolicyContext): Verdict | Promise<Verdict> {
    const { parameter } = this.#parts;
    const { query } = exchange;
    if (!query.includes(parameter) || !canSetNoField(exchange)) return null;
    const tickets = new URLSearchParams(query).getAll(parameter);
    if (tickets.length === 0) return null;
    exchange.setUpstreamQuery(without(exchange.upstreamQueryNow, parameter));
    const [ticket = ''] = tickets;
    if (tickets.length > 1 || !TICKET.test(ticket)) return 'malformed';
    if (this.#underWay >= MOST_QUESTIONS) return new Unavailable('too many tickets in question');
    return this.#take(ticket);
  }

  /** It never reaches the service, whatever `hideCredentials` says. */
  hide(): void {}

  /** No scheme: it is no field. */
  challenge(): null {
    return null;
  }

  async #take(ticket: string): Promise<Verdict> {
    const { control, methods, clock, headers, revocations } = this.#parts;
    this.#underWay++;
    let answer: unknown;
    try {
      answer = await control.ask(TICKET_TAKE_TOPIC, { ticket, methods } satisfies TakeQuestion, TICKET_WITHIN_MS);
    } catch (error) {
      return new Unavailable(`ticket: ${messageOf(error)}`);
    } finally {
      this.#underWay--;
    }
    if (answer === null) return 'unknown_credential';
    const { facts, claims, isNameless, endsAtMs } = answer as TicketHolder;
    const identity = new PreparedIdentity(facts, claims, headers, endsAtMs ?? Number.POSITIVE_INFINITY);
    identity.isNameless = isNameless;
    if (identity.endsAtMs <= clock.wallMs()) return 'expired';
    return revocations.ended(identity) ? ('revoked' satisfies Refusal) : identity;
  }
}

/** WebSockets (RFC 6455 §4.1, also over HTTP/2) and event streams: what a page opens by an address alone. */
function canSetNoField(exchange: PolicyContext): boolean {
  if (exchange.header('sec-websocket-version') !== null) return true;
  return exchange.method === 'GET' && /text\/event-stream/i.test(exchange.header('accept') ?? '');
}

/** The query without a parameter, all else as it came. */
function without(query: string, name: string): string | null {
  const rest = query.split('&').filter((pair) => new URLSearchParams(pair).keys().next().value !== name);
  return rest.length === 0 ? null : rest.join('&');
}
