/**
 * What a service says when it registers itself with a gateway, and what it gets to hold. No dependencies, no Gatehouse
 * code.
 */

export interface RegisterOptions {
  /** URL of the gateway, such as `http://gateway:8000`. */
  readonly gateway: string;
  /** The registration token: `registry.token` in the configuration of the gateway. */
  readonly token: string;
  /** Name of the service in the configuration of the gateway; it must have `discovery: { registry: true }`. */
  readonly service: string;
  /** Where the gateway reaches this instance, such as `http://10.0.0.7:4001`. */
  readonly url: string;
  /** Share of the traffic against the other instances, 0 to 1000. 0 takes no new traffic. Default 1. */
  readonly weight?: number;
  /** Zone that this instance runs in, for zone-aware balancing. Default none. */
  readonly zone?: string | null;
  /** Facts about the instance: at most 16 texts. Default none. */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * How long the registration outlives the last heartbeat: milliseconds or `30s`. The gateway has bounds for it.
   * Default: what the gateway says, usually 30 seconds. Heartbeats come at a third of it.
   */
  readonly lease?: number | string;
  /** Path of the registration API: `registry.path` in the configuration. Default `/api/v1/registry`. */
  readonly path?: string;
  /**
   * Leaves the registry on these: when nothing is left to do (`beforeExit`), or on a signal, which is then raised
   * again so that the process ends as it would have. Default none: call `close()` where the service shuts down.
   */
  readonly deregisterOn?: readonly ('beforeExit' | 'SIGTERM' | 'SIGINT')[];
  /** Hears what happens, for logs. Must not throw. */
  readonly onEvent?: (event: LeaseEvent) => void;
  /** Milliseconds that one call to the gateway may take. Default 5000. */
  readonly timeout?: number;
  /** Gives up the first registration, which otherwise goes on trying while the gateway cannot be reached. */
  readonly signal?: AbortSignal;
  /** Makes the calls, for proxies and private certificate authorities. Default the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/** What may change while registered. */
export interface LeaseChanges {
  readonly weight?: number;
  readonly zone?: string | null;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface Lease {
  /** Changes when the instance had to register again. */
  readonly id: string;
  /**
   * `active`: gets traffic. `held`: registered, but held back because it came and went too often. `lost`: the gateway
   * cannot be reached or refuses; it is tried again. `closed`: left for good.
   */
  readonly state: 'active' | 'held' | 'lost' | 'closed';
  /** Tells the gateway at once. Rejects with a `RegistrationError` or the fault of the connection. */
  update(changes: LeaseChanges): Promise<void>;
  /** Leaves the registry. Never rejects: if the gateway cannot be reached, the lease runs out there by itself. */
  close(): Promise<void>;
}

export type LeaseEvent =
  /** `again`: the gateway had lost us, or we it. */
  | { readonly type: 'registered'; readonly id: string; readonly again: boolean; readonly held: boolean }
  | { readonly type: 'failed'; readonly reason: string; readonly retryInMs: number }
  | { readonly type: 'recovered' }
  | { readonly type: 'closed' };

/** The gateway's refusal. `code` is its error code, such as `VALIDATION_ERROR`. */
export class RegistrationError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'RegistrationError';
    this.status = status;
    this.code = code;
  }
}
