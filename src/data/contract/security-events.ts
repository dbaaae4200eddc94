/** Security events: what they are called, and how workers hand theirs to the main thread, which writes the stream. */

/** Control to workers: whether events have a receiver. */
export const SECURITY_WANTED_TOPIC = 'security:wanted';
/** Workers to control: a `SecurityBatch`. */
export const SECURITY_EVENTS_TOPIC = 'security:events';

export interface SecurityEvent {
  /** Thing and what happened, such as `login.failed`. */
  readonly event: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** Further fields of the line; those that are undefined or empty are left out. */
  readonly fields: Readonly<Record<string, SecurityValue>>;
}

export type SecurityValue = string | number | boolean | null | undefined | readonly string[];

export interface SecurityBatch {
  readonly events: readonly SecurityEvent[];
  /** Events that there were too many of, since the last batch. */
  readonly leftOut: number;
}

/** The event that a fault is; other faults are none. Reasons are those of docs/errors.md. */
export const FAULT_EVENTS: Readonly<Record<string, string>> = {
  malformed_request: 'message.refused',
  ambiguous_framing: 'message.refused',
  uri_too_long: 'message.refused',
  head_too_large: 'message.refused',
  unknown_transfer_coding: 'message.refused',
  method_not_implemented: 'message.refused',
  version_not_supported: 'message.refused',
  head_timeout: 'message.refused',
  malformed_body: 'message.refused',
  body_timeout: 'message.refused',
  unsafe_path: 'message.refused',
  invalid_credentials: 'credentials.refused',
  insufficient_permissions: 'access.denied',
  mfa_required: 'access.denied',
  not_owner: 'access.denied',
  policy_refused: 'access.denied',
  address_denied: 'address.denied',
  banned: 'ban.hit',
};
