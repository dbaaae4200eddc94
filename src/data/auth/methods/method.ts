/**
 * What a way to authenticate looks like to the `auth` policy: it finds its credential in the request and judges it.
 * Synchronous if the result is known; a promise only when another server must be asked.
 */
import type { Fault } from '../../../base/errors.ts';
import type { Identity, PolicyContext, Reply } from '../../contract/policy.ts';
import type { TokenProblem } from '../jwt/jwt.ts';

/** Why a credential was refused; the log's `auth` field and nothing more. */
export type Refusal =
  | TokenProblem
  | 'unknown_credential'
  | 'wrong_password'
  | 'cross_site'
  | 'csrf_token'
  | 'no_rule'
  | 'inactive'
  | 'denied';

/** A server that must be asked did not reply, so the credential cannot be judged. */
export class Unavailable {
  readonly cause: string;

  constructor(cause: string) {
    this.cause = cause;
  }
}

/** A response of an outside authorizer that goes to the caller unchanged. */
export class PassedReply {
  readonly reply: Reply | Fault;

  constructor(reply: Reply | Fault) {
    this.reply = reply;
  }
}

/** Null: the request has no credential of this kind. A string: it has one, and it is refused. */
export type Verdict = Identity | Refusal | Unavailable | PassedReply | null;

export interface AuthMethod {
  authenticate(exchange: PolicyContext): Verdict | Promise<Verdict>;
  /** Removes the credential from the upstream request. */
  hide(exchange: PolicyContext): void;
  /** For `WWW-Authenticate`, such as `Bearer realm="gatehouse"`, or null when the kind has no scheme. */
  challenge(realm: string, refused: boolean): string | null;
}
