/** Where idempotency keys and the responses to them are kept. */
import type { BeginAnswer, BeginQuestion, FinishQuestion, Held } from '../../data/contract/idempotency.ts';

export interface KeyStore {
  /** Who is first holds the key until `finish` or `release`, or for `inProgressMs`. Decided once over all gateways. */
  begin(question: BeginQuestion): Promise<BeginAnswer>;
  /** The response is durable when this resolves; nothing happens if another holds the key now. */
  finish(question: FinishQuestion): Promise<void>;
  release(held: Held): Promise<void>;
  close(): Promise<void>;
}
