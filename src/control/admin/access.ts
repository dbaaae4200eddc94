/**
 * Who uses the admin API and what they may do. Four ways in: the control socket (whoever may open it is administrator),
 * a bearer token, a console session (a cookie that a one-time link or an account gave), and the gateway's own `auth`,
 * which says who it is in `X-Auth-*`. A browser sends cookies by itself, so a change with one needs a header that no
 * foreign page can send without asking (CORS). Sessions live in memory and end with the process; one of an account also
 * when the account's session ends, whoever ends it.
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
export type ReadOperator = (request: Request) => Found | Promise<Found>;

export const COOKIE = 'gatehouse_console';
/** Sent by the console with each request. */
export const CONSOLE_HEADER = 'x-gatehouse-console';
const SESSION_IDLE_MS = 30 * 60_000;
const SESSION_MOST_MS = 12 * 3_600_000;
const LINK_MS = 5 * 60_000;
const MOST = 100;
/** What an account may do is asked so often while its session is used. */
const CHECK_EVERY_MS = 1_000;

interface Session extends Operator {
  readonly startedMs: number;
  usedMs: number;
  /** Session of an account, and when it was found to hold. */
  readonly account: { readonly sessionId: string; checkedMs: number } | null;
  role: Role;
}

type RolesOf = (sessionId: string) => Promise<readonly string[] | null>;

export function mayAct(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export class Access {
  readonly #plan: () => AdminPlan;
  readonly #rolesOf: RolesOf;
  readonly #now: () => number;
  /** By the hash of the secret, so that memory dumps hold none. */
  readonly #links = new Map<string, Operator & { readonly untilMs: number }>();
  readonly #sessions = new Map<string, Session>();

  /** `rolesOf`: of an account's session, as they are now; null once it is over. */
  constructor(plan: () => AdminPlan, rolesOf: RolesOf = async () => null, now: () => number = Date.now) {
    this.#plan = plan;
    this.#rolesOf = rolesOf;
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
    return this.#begin({ name: link.name, role: link.role }, null);
  }

  /** The best role that roles of an account give; undefined: none. */
  roleOf(roles: readonly string[]): Role | undefined {
    const known = this.#plan().roles;
    return [...ROLES].reverse().find((each) => known[each].some((one) => roles.includes(one)));
  }

  /** The secret of a session of an account that has proven itself. */
  enter(operator: Operator, sessionId: string): string {
    return this.#begin(operator, { sessionId, checkedMs: this.#now() });
  }

  #begin({ name, role }: Operator, account: Session['account']): string {
    const secret = randomBytes(24).toString('base64url');
    keepWithin(this.#sessions, MOST);
    const nowMs = this.#now();
    this.#sessions.set(tokenHash(secret), { name, role, account, startedMs: nowMs, usedMs: nowMs });
    return secret;
  }

  /** Ends the session of the cookie; returns that of the account behind it, which is to end too. */
  end(request: Request): string | undefined {
    const secret = cookieOf(request);
    const hash = secret === undefined ? '' : tokenHash(secret);
    const sessionId = this.#sessions.get(hash)?.account?.sessionId;
    this.#sessions.delete(hash);
    return sessionId;
  }

  /** A bearer token, or the cookie of a session. */
  readonly byCredentials = async (request: Request): Promise<Found> => {
    const bearer = /^Bearer (\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    return bearer === undefined ? await this.bySession(request) : (this.#byToken(bearer) ?? 'unknown');
  };

  /** The cookie of a session, and nothing else. */
  readonly bySession = async (request: Request): Promise<Found> => {
    const secret = cookieOf(request);
    const hash = secret === undefined ? '' : tokenHash(secret);
    const session = this.#sessions.get(hash);
    if (session === undefined) return 'unknown';
    const nowMs = this.#now();
    if (nowMs - session.usedMs > SESSION_IDLE_MS || nowMs - session.startedMs > SESSION_MOST_MS) {
      this.#sessions.delete(hash);
      return 'unknown';
    }
    if (session.account !== null && nowMs - session.account.checkedMs >= CHECK_EVERY_MS) {
      const role = this.roleOf((await this.#rolesOf(session.account.sessionId)) ?? []);
      if (role === undefined) {
        this.#sessions.delete(hash);
        return 'unknown';
      }
      session.role = role;
      session.account.checkedMs = nowMs;
    }
    session.usedMs = nowMs;
    return isSafe(request) || request.headers.has(CONSOLE_HEADER) ? session : 'forbidden';
  };

  /** Behind the gateway's `auth`, which takes away what clients put into these fields themselves. */
  readonly byGateway = (request: Request): Found => {
    const identity = gatewayIdentity((name) => request.headers.get(name) ?? undefined);
    if (identity === null) return 'unknown';
    const { issuer, account: name, roles } = identity;
    const role = this.roleOf(roles);
    // What an outside issuer calls `admin` is its own business.
    if (role === undefined || issuer !== null) return 'forbidden';
    // No browser sends an API key by itself, so whoever sends one means it.
    const hasKey = request.headers.get('x-auth-method') === 'apiKey';
    const isOwn =
      isSafe(request) || hasKey || request.headers.has('authorization') || request.headers.has(CONSOLE_HEADER);
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
