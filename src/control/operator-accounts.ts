/**
 * How operators sign in to the console with accounts of this gateway: what the admin API asks of whichever feature
 * keeps accounts. Neither knows the other.
 */

/** What an operator proves with; one of them. */
export type OperatorProof =
  | { readonly kind: 'password'; readonly login: string; readonly password: string }
  | { readonly kind: 'factor'; readonly ticket: string; readonly code?: string; readonly passkey?: PasskeyAnswer }
  | { readonly kind: 'passkey'; readonly passkey: PasskeyAnswer };

/** The browser's `PublicKeyCredential` as JSON (WebAuthn §5.1.8). */
export type PasskeyAnswer = Readonly<Record<string, unknown>>;

/** Where it comes from. */
export interface OperatorRequest {
  field(name: string): string | null;
  /** Address of the connection; undefined behind the gateway, whose forwarded fields are believed. */
  readonly peer: string | undefined;
}

export interface SignedInOperator {
  readonly sessionId: string;
  /** As history, audit and overrides name them. */
  readonly name: string;
  readonly roles: readonly string[];
}

/** A second factor is needed; `methods` are `totp` and `passkey`. */
export interface FactorNeeded {
  readonly ticket: string;
  readonly methods: readonly string[];
}

export interface OperatorAccounts {
  /** The domain that passkeys are good for; pages of others cannot ask for one. */
  readonly rpId: string;
  /** What the browser's authenticator is asked with; of the account of a ticket, or of any. */
  challenge(ticket: string | undefined, from: OperatorRequest): Promise<object>;
  /**
   * Begins a session of an account whose roles `mayEnter` accepts. Rejects with an `OperatorRefusal`: wrong, too often,
   * not allowed.
   */
  signIn(
    proof: OperatorProof,
    from: OperatorRequest,
    mayEnter: (roles: readonly string[]) => boolean,
  ): Promise<SignedInOperator | FactorNeeded>;
  /** Roles of the account of a session as they are now; null once the session is over. */
  rolesOf(sessionId: string): Promise<readonly string[] | null>;
  end(sessionId: string, from: OperatorRequest): Promise<void>;
}

export class OperatorRefusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly reason: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: string, reason: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
