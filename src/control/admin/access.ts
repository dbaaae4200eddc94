/**
 * Who uses the admin API and what they may do. Four ways in: the control socket (whoever may open it is administrator),
 * a bearer token, a console session (a cookie that a one-time link gave), and the gateway's own `auth`, which says who
 * it is in `X-Auth-*`. A browser sends cookies by itself, so a change with one needs a header that no foreign page can
 * send without asking (CORS). Sessions live in memory and end with the process.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { gatewayIdentity } from '../gateway-identity.ts';
import type { AdminPlan, Role } from './section.ts';
import { ROLES, tokenHash } from './section.ts';

export interface Operator {
  readonly name: string;
  readonly role: Role;
}

export type Found = Operator | 'unknown' | 'forbidden';
export type ReadOperator = (request: Request) => Found;

export const COOKIE = 'gatehouse_console';
/** Sent by the console with each request. */
export const CONSOLE_HEADER = 'x-gatehouse-console';
const SESSION_IDLE_MS = 30 * 60_000;
const SESSION_MOST_MS = 12 * 3_600_000;
const LINK_MS = 5 * 60_000;
const MOST = 100;

interface Session extends Operator {
  readonly startedMs: number;
  usedMs: number;
}

export function mayAct(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export class Access {
  readonly #plan: () => AdminPlan;
  readonly #now: () => number;
  /** By the hash of the secret, so that memory dumps hold none. */
  readonly #links = new Map<string, Operator & { readonly untilMs: number }>();
  readonly #sessions = new Map<string, Session>();

  constructor(plan: () => AdminPlan, now: () => number = Date.now) {
    this.#plan = plan;
    this.#now = now;
  }

  /** The secret of a link that signs in once, within five minutes. */
  makeLink(operator: Operator): string {
    const secret = randomBytes(24).toString('base64url');
    keepWithin(this.#links, MOST);
    this.#links.set(tokenHash(secret), { ...operator, untilMs: this.#now() + LINK_MS });
    return secret;
  }

  /** The secret of a session, or undefined: the link was used, is over, or never was. */
  useLink(secret: string): string | undefined {
    const hash = tokenHash(secret);
    const link = this.#links.get(hash);
    this.#links.delete(hash);
    if (link === undefined || link.untilMs <= this.#now()) return undefined;
    const session = randomBytes(24).toString('base64url');
    keepWithin(this.#sessions, MOST);
    const nowMs = this.#now();
    this.#sessions.set(tokenHash(session), { name: link.name, role: link.role, startedMs: nowMs, usedMs: nowMs });
    return session;
  }

  end(request: Request): void {
    const secret = cookieOf(request);
    if (secret !== undefined) this.#sessions.delete(tokenHash(secret));
  }

  /** On the listener of its own: a bearer token, or the cookie of a session. */
  readonly byCredentials: ReadOperator = (request) => {
    const bearer = /^Bearer (\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    if (bearer !== undefined) return this.#byToken(bearer) ?? 'unknown';
    const secret = cookieOf(request);
    const hash = secret === undefined ? '' : tokenHash(secret);
    const session = this.#sessions.get(hash);
    if (session === undefined) return 'unknown';
    const nowMs = this.#now();
    if (nowMs - session.usedMs > SESSION_IDLE_MS || nowMs - session.startedMs > SESSION_MOST_MS) {
      this.#sessions.delete(hash);
      return 'unknown';
    }
    session.usedMs = nowMs;
    return isSafe(request) || request.headers.has(CONSOLE_HEADER) ? session : 'forbidden';
  };

  /** Behind the gateway's `auth`, which takes away what clients put into these fields themselves. */
  readonly byGateway: ReadOperator = (request) => {
    const identity = gatewayIdentity((name) => request.headers.get(name) ?? undefined);
    if (identity === null) return 'unknown';
    const { issuer, account: name, roles } = identity;
    const known = this.#plan().roles;
    const role = [...ROLES].reverse().find((each) => known[each].some((one) => roles.includes(one)));
    // What an outside issuer calls `admin` is its own business.
    if (role === undefined || issuer !== null) return 'forbidden';
    const isOwn = isSafe(request) || request.headers.has('authorization') || request.headers.has(CONSOLE_HEADER);
    return isOwn ? { name, role } : 'forbidden';
  };

  #byToken(token: string): Operator | undefined {
    const given = Buffer.from(tokenHash(token));
    let found: Operator | undefined;
    // All are compared, so that the time says nothing of which.
    for (const { name, role, hash } of this.#plan().tokens)
      if (timingSafeEqual(given, Buffer.from(hash))) found = { name: `token:${name}`, role };
    return found;
  }
}

function isSafe({ method }: Request): boolean {
  return method === 'GET' || method === 'HEAD';
}

function cookieOf(request: Request): string | undefined {
  for (const part of (request.headers.get('cookie') ?? '').split(';')) {
    const [name, value] = part.trim().split('=');
    if (name === COOKIE) return value;
  }
  return undefined;
}

function keepWithin(map: Map<string, unknown>, most: number): void {
  while (map.size >= most) map.delete(map.keys().next().value as string);
}
