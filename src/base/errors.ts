/**
 * Every fault the gateway can answer with, as one table (its rows are in `faults`), and the record that carries one to
 * the error exit. A `Fault` is returned, never thrown: refusing a request must cost less than serving it, so it has no
 * stack. Programmer mistakes are ordinary `TypeError`s. docs/errors.md lists the table; a test keeps the two equal.
 */
import type { FieldError } from './error-body.ts';
import { ADMISSION_FAULTS } from './faults/admission.ts';
import { ARRIVAL_FAULTS } from './faults/arrival.ts';
import { GATEWAY_FAULTS } from './faults/gateway.ts';
import type { FaultKind } from './faults/kind.ts';
import { REQUEST_FAULTS } from './faults/request.ts';
import { UPSTREAM_FAULTS } from './faults/upstream.ts';

export type { FaultKind } from './faults/kind.ts';

/** The table, more or less in the order of phases. */
export const FAULTS = {
  ...ARRIVAL_FAULTS,
  ...ADMISSION_FAULTS,
  ...REQUEST_FAULTS,
  ...UPSTREAM_FAULTS,
  ...GATEWAY_FAULTS,
} as const satisfies Record<string, FaultKind>;

export const FAULT_REASONS: readonly string[] = Object.values(FAULTS).map(({ reason }) => reason);

/** How one exchange, or one attempt of it, failed. */
export class Fault {
  readonly kind: FaultKind;
  /** Instead of the message of its kind, where the configuration has one. */
  readonly message: string | undefined;
  /** What the caller may know beyond the message: the field, the value, the expectation. Never a secret. */
  readonly detail: string | undefined;
  /** For the log only: errno, address, cause. */
  readonly cause: string | undefined;
  /** Seconds for `Retry-After`, where waiting helps. */
  readonly retryAfterSeconds: number | undefined;
  /** Further response fields, such as `Allow` with 405 or `WWW-Authenticate` with 401. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** What is wrong with the request, field by field. */
  readonly fields: readonly FieldError[] | undefined;

  constructor(
    kind: FaultKind,
    more: {
      message?: string | undefined;
      detail?: string;
      cause?: string;
      retryAfterSeconds?: number;
      headers?: Record<string, string>;
      fields?: readonly FieldError[];
    } = NOTHING,
  ) {
    this.kind = kind;
    this.message = more.message;
    this.detail = more.detail;
    this.cause = more.cause;
    this.retryAfterSeconds = more.retryAfterSeconds;
    this.headers = more.headers;
    this.fields = more.fields;
  }
}

const NOTHING = Object.freeze({});

/** The message of a thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Where it was made; empty for what is no `Error`. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? '') : '';
}
