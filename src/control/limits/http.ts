/**
 * What the HTTP side of limits needs in common: who is calling and how errors look. The gateway's own fields name the
 * caller (`X-Auth-*`): it removes every copy that a client sends, and no other client reaches the socket. On the socket
 * for the command line everybody is an administrator, as with the control socket: the file's permissions decide.
 */
import { randomUUID } from 'node:crypto';
import type { Context } from 'hono';
import { errorBody, type FieldError } from '../../base/error-body.ts';
import type { ErrorFormat } from '../../data/contract/snapshot.ts';
import { decoded, gatewayIdentity } from '../gateway-identity.ts';

/** Callers with this scope or the role `admin` may see and change what is not theirs. */
export const ADMIN_SCOPE = 'limits:admin';

export interface ApiCaller {
  /** Null on the local socket, where no account is meant. */
  readonly account: string | null;
  readonly plan: string | null;
  readonly isAdmin: boolean;
  /** For records of who did something. */
  readonly name: string;
}

/** Null: not authenticated. */
export type ReadCaller = (context: Context) => ApiCaller | null;

/** The admin API has authenticated the caller; no other client reaches this socket. */
export const localCaller: ReadCaller = (context) => ({
  account: null,
  plan: null,
  isAdmin: true,
  name: decoded(context.req.header('x-gatehouse-actor')) ?? 'command line',
});

/**
 * As the gateway says in `X-Auth-*`. An outside issuer's role `admin` is its own business: it administers here only
 * when the operator named that issuer (`limits.adminIssuers`).
 */
export const gatewayCaller =
  (adminIssuers: () => readonly string[]): ReadCaller =>
  (context) => {
    const identity = gatewayIdentity((name) => context.req.header(name));
    if (identity === null) return null;
    const { issuer, account, plan, roles, scopes } = identity;
    const mayAdminister = issuer === null || adminIssuers().includes(issuer);
    const isAdmin = mayAdminister && (roles.includes('admin') || scopes.includes(ADMIN_SCOPE));
    return { account, plan, isAdmin, name: account };
  };

export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 500;
  readonly code: string;
  readonly message: string;
  readonly fields?: readonly FieldError[];
}

export const REFUSALS = {
  unauthenticated: { status: 401, code: 'AUTHENTICATION_REQUIRED', message: 'authentication is required' },
  forbidden: {
    status: 403,
    code: 'INSUFFICIENT_PERMISSIONS',
    message: `this needs the role admin or the scope ${ADMIN_SCOPE}`,
  },
  notFound: { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'there is no such endpoint' },
  tooLarge: { status: 413, code: 'PAYLOAD_TOO_LARGE', message: 'the body is too large' },
  internal: { status: 500, code: 'INTERNAL_ERROR', message: 'internal error' },
} as const satisfies Record<string, Refusal>;

export function refuse(context: Context, error: Refusal, format: ErrorFormat, wallMs: number): Response {
  const { contentType, body } = errorBody(error, {
    format,
    accept: context.req.header('accept'),
    requestId: context.req.header('x-request-id') ?? randomUUID(),
    path: context.req.path,
    wallMs,
  });
  return context.body(body, error.status, { 'content-type': contentType, 'cache-control': 'no-store' });
}
