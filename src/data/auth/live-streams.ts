/**
 * Tunnels and streams that are open for callers with a credential: they end with it. Signing out, a revoked token or
 * key ends them at once; a token or key that expires, within a second, unless the route keeps them (`auth.streams`).
 * Requests that end by themselves are not watched. Exchanges call it; owner: one worker.
 */
import { type Cancel, every } from '../../base/system-timers.ts';
import type { Identity } from '../contract/policy.ts';

export interface LiveStream {
  readonly identity: Identity | null;
  /** Only what is revoked ends it. */
  readonly outlivesExpiry: boolean;
  /** Its credential is over. */
  endForCredential(): void;
}

export interface EndedCredentials {
  readonly sids: ReadonlySet<string>;
  readonly jtis: ReadonlySet<string>;
  readonly keys: ReadonlySet<string>;
}

const LOOK_EVERY_MS = 1_000;
/** Media types of responses without an end of their own. */
const STREAM = /^(?:text\/event-stream|application\/(?:grpc|x-ndjson|json-seq)|multipart\/x-mixed-replace)/i;

export class LiveStreams {
  readonly #open = new Set<LiveStream>();
  readonly #wallMs: () => number;
  #timer: Cancel | undefined;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  get size(): number {
    return this.#open.size;
  }

  /** A response without an end: watched when its media type says that it may go on. */
  watchResponse(stream: LiveStream, contentType: string | null): boolean {
    return contentType !== null && STREAM.test(contentType) && this.watch(stream);
  }

  watch(stream: LiveStream): true {
    this.#open.add(stream);
    this.#timer ??= every(LOOK_EVERY_MS, () => this.expire());
    return true;
  }

  leave(stream: LiveStream): void {
    this.#open.delete(stream);
    if (this.#open.size > 0) return;
    this.#timer?.();
    this.#timer = undefined;
  }

  /** Ends those whose credential has expired. Public so that tests can do without the timer. */
  expire(): void {
    const nowMs = this.#wallMs();
    this.#endThose(
      ({ identity, outlivesExpiry }) => !outlivesExpiry && (identity?.endsAtMs ?? Number.POSITIVE_INFINITY) <= nowMs,
    );
  }

  /** Ends those whose session, token or key was revoked. Another issuer's equal ids are none of the gateway's. */
  revoked({ sids, jtis, keys }: EndedCredentials): void {
    if (this.#open.size === 0 || sids.size + jtis.size + keys.size === 0) return;
    this.#endThose(({ identity }) => {
      if (identity === null || (identity.issuer ?? null) !== null) return false;
      const { sid, jti, key_id: key } = identity.claims;
      if (identity.method === 'apiKey') return typeof key === 'string' && keys.has(key);
      return (typeof sid === 'string' && sids.has(sid)) || (typeof jti === 'string' && jtis.has(jti));
    });
  }

  #endThose(isOver: (stream: LiveStream) => boolean): void {
    for (const stream of [...this.#open]) if (isOver(stream)) stream.endForCredential();
  }
}
