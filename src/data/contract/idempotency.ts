/** What workers ask control about idempotency keys (data/policies/idempotency.ts, control/idempotency). */

/** An ask with `BeginQuestion`, answered with `BeginAnswer`. */
export const IDEMPOTENCY_BEGIN_TOPIC = 'idempotency:begin';
/** An ask with `FinishQuestion`; answered when the response is durable. */
export const IDEMPOTENCY_FINISH_TOPIC = 'idempotency:finish';
/** A tell with `Held`: the same key may be used again at once. */
export const IDEMPOTENCY_RELEASE_TOPIC = 'idempotency:release';

/** A worker waits for an answer this long. */
export const IDEMPOTENCY_ASK_WITHIN_MS = 5_000;

/** Of the configuration's `stores`. */
export type KeptIn = 'sql' | 'redis';

/** One request that holds its key. */
export interface Held {
  readonly keptIn: KeptIn;
  /** Of route, caller and key. */
  readonly keyHash: string;
  /** When it took the key: who takes it over later has another one. */
  readonly begunMs: number;
}

export interface BeginQuestion {
  readonly keptIn: KeptIn;
  readonly keyHash: string;
  /** Of method, target and body. */
  readonly fingerprint: string;
  readonly keptForMs: number;
  /** A request that has not ended by then has died with its process. */
  readonly inProgressMs: number;
}

export interface KeptResponse {
  /** 0: the request was carried out, but its response is not known. */
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Base64. */
  readonly body: string;
}

export const RESPONSE_NOT_KNOWN: KeptResponse = { status: 0, fields: [], body: '' };

export type BeginAnswer =
  | { readonly kind: 'first'; readonly begunMs: number }
  | { readonly kind: 'again'; readonly response: KeptResponse }
  | { readonly kind: 'in-progress' }
  | { readonly kind: 'other-request' };

export interface FinishQuestion extends Held {
  readonly response: KeptResponse;
}
