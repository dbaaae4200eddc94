/**
 * What a part of the control plane and a worker say to each other over a message port of their own, when the former
 * wants a service called: the call goes through that service's balancer, breaker, limits and retries as any request
 * does. Used for deliveries of events (control/events/deliver/); served by data/service-calls.ts.
 */

export interface ServiceCall {
  readonly kind: 'call';
  /** Names the call on its port. */
  readonly id: number;
  readonly service: string;
  readonly method: string;
  /** Before an instance's own prefix; begins with `/`. */
  readonly path: string;
  readonly query: string | null;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  /** What lies behind so many bytes of the response is read and dropped. */
  readonly maxBytes: number;
  /** What the access log calls it by. */
  readonly mark: DeliveryMark;
}

/** An attempt to deliver an event, in the access log. */
export interface DeliveryMark {
  readonly consumer: string;
  readonly stream: string;
  /** Id of the event. */
  readonly event: string;
  /** Counts from 1. */
  readonly attempt: number;
}

export type ServiceCallResult =
  | {
      readonly id: number;
      readonly kind: 'response';
      readonly status: number;
      readonly retryAfter: string | null;
      readonly body: Uint8Array;
    }
  | {
      readonly id: number;
      readonly kind: 'fault';
      /** Reason of the fault, such as `connect_failed`. */
      readonly reason: string;
      /** False: no byte of it reached an instance. */
      readonly mayHaveArrived: boolean;
    };

/** Asks who a caller with these fields would be on a route, by all that the route says about callers. */
export interface IdentifyCall {
  readonly kind: 'identify';
  readonly id: number;
  readonly route: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

export interface IdentifyResult {
  readonly id: number;
  readonly kind: 'identity';
  /** Null: the route would refuse them, or no caller would be known. */
  readonly caller: {
    readonly user: string;
    readonly account: string;
    readonly plan: string | null;
    readonly roles: readonly string[];
    readonly scopes: readonly string[];
    /** Milliseconds since 1970; null: never. */
    readonly expiresMs: number | null;
  } | null;
}
