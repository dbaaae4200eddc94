/** One row of the table of faults (errors.ts). */
import type { Phase, Side } from '../vocabulary.ts';

/** May the same request be tried again? `idempotent`: only if its effect is the same when it happens twice. */
type RetryAdvice = 'never' | 'always' | 'idempotent';

export interface FaultKind {
  /** Stable, fine-grained name: log field `fault`, metric label, `reason` in error bodies. */
  readonly reason: string;
  /** Documented code that programs match on. */
  readonly code: string;
  readonly status: number;
  readonly phase: Phase;
  readonly side: Side;
  readonly retry: RetryAdvice;
  /** Lower case, no full stop, never a secret. */
  readonly message: string;
}

export function kind(
  reason: string,
  status: number,
  code: string,
  phase: Phase,
  side: Side,
  retry: RetryAdvice,
  message: string,
): FaultKind {
  return Object.freeze({ reason, status, code, phase, side, retry, message });
}
