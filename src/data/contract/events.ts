/**
 * What the workers and the event bridge of the control plane know of each other about `publish`, `subscribe` and hub
 * routes: what goes with each request (over channel-link.ts), and what the policies of those names compile to, which
 * the bridge reads from the snapshot too.
 */

export const EVENTS_SERVICE = 'builtin:events';
export const REALTIME_SERVICE = 'builtin:realtime';
/** The stream that the hub keeps its messages in. */
export const REALTIME_STREAM = 'realtime';

/** What a request to such a route is about, and who asks. */
export interface ChannelCall {
  readonly route: string;
  readonly subject: string;
  /** Order key; null: the subject. */
  readonly key: string | null;
  /** Subject of the caller; null if anonymous. */
  readonly caller: string | null;
  /** One text for the caller over all issuers; null if anonymous. */
  readonly account: string | null;
  readonly plan: string | null;
  /** When what proved the identity ends, in seconds since 1970; null: never. */
  readonly expires: number | null;
  /** The caller's address, for limits of anonymous callers. */
  readonly address: string;
  /** For the hub alone. */
  readonly roles?: readonly string[];
  readonly scopes?: readonly string[];
}

/** What the settings of both policies have. */
export interface ChannelSettings {
  readonly stream: string;
  /** With placeholders; for `subscribe` also with wildcards. */
  readonly subject: string;
  readonly key: string | null;
}

export interface PublishSettings extends ChannelSettings {
  readonly body: 'any' | 'json' | 'cloudevent';
  /** `type` (empty: the subject) and `source` of events that do not bring their own. */
  readonly type: string;
  readonly source: string;
  readonly maxBytes: number;
  readonly ackTimeoutMs: number;
  /** An event that the engine does not acknowledge is kept in the SQL store and delivered later. */
  readonly outbox: boolean;
  readonly idempotencyKey: 'optional' | 'required';
  readonly keysForMs: number;
}

export interface SubscribeSettings extends ChannelSettings {
  /** Where a subscriber without a position begins. */
  readonly from: 'now' | 'earliest';
  /** What a client is sent of an event: the whole CloudEvent, or its data alone. */
  readonly format: 'cloudevent' | 'data';
  readonly heartbeatMs: number;
  readonly retryMs: number;
  /** What happens to a reader that is slower than the stream. */
  readonly slow: 'catch-up' | 'gap' | 'close';
  readonly maxPerCaller: number;
  /** Origins of pages that may open a WebSocket, beside those of the gateway's own host; `*` is any. */
  readonly origins: readonly string[];
}

/** A route with `builtin: realtime`. */
export interface RealtimeSettings {
  readonly origins: readonly string[];
  readonly anonymous: boolean;
}
