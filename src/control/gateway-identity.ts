/**
 * Who calls a built-in service, as the gateway says in `X-Auth-*`. It removes every copy of these fields that comes
 * from outside, and no other client reaches the socket of a built-in service. Read by the APIs of limits, caches, the
 * cluster and operators, by the API pages, and by the event bridge.
 */
import { accountKey } from '../data/contract/auth.ts';

export interface GatewayIdentity {
  readonly subject: string;
  /** Null for accounts and keys of this gateway; else the outside issuer, whose roles are its own business. */
  readonly issuer: string | null;
  /** Subject and issuer in one: two issuers may have the same subject. */
  readonly account: string;
  readonly plan: string | null;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
}

/** Null: not authenticated. */
export function gatewayIdentity(header: (name: string) => string | undefined): GatewayIdentity | null {
  const subject = decoded(header('x-auth-subject'));
  if (subject === null) return null;
  const issuer = decoded(header('x-auth-issuer'));
  return {
    subject,
    issuer,
    account: accountKey(issuer, subject),
    plan: decoded(header('x-auth-plan')),
    roles: list(header('x-auth-roles'), ','),
    scopes: list(header('x-auth-scopes'), ' '),
  };
}

function list(text: string | undefined, separator: string): string[] {
  return (text ?? '').split(separator).flatMap((part) => decoded(part) ?? []);
}

/** A value as the gateway writes it; null for none. */
export function decoded(text: string | undefined): string | null {
  if (text === undefined || text === '') return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
