/**
 * Sticky sessions: a signed cookie names the instance that a caller had, whatever the algorithm. The value is an HMAC
 * of service and instance, cut in two: eight characters to find the instance by and twenty-four to prove it. So it
 * shows nothing of the instance (no address, no id), cannot be made up, and is the same on every worker and node with
 * the same key. What is forged, old or foreign is treated like no cookie. The caller's browser keeps the time to live.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { BalancerRequest } from '../contract/balancer.ts';
import type { Secrets, StickySettings } from '../contract/snapshot.ts';
import type { Instance } from './endpoint.ts';

const HINT_LENGTH = 8;
const VALUE_LENGTH = 32;
const VALUE_BYTES = 24;

interface Ticket<P> {
  readonly instance: Instance<P>;
  readonly value: Buffer;
  readonly setCookie: string;
}

export class Sticky<P> {
  readonly #cookie: string;
  readonly #byHint = new Map<string, Ticket<P>>();
  readonly #byInstance = new Map<Instance<P>, Ticket<P>>();
  /** Where a caller's value is laid beside the right one; reused, as a worker checks one at a time. */
  readonly #scratch = Buffer.alloc(VALUE_LENGTH);

  constructor(settings: StickySettings, service: string, secrets: Secrets, instances: readonly Instance<P>[]) {
    const key = stickyKey(settings, service, secrets);
    this.#cookie = settings.cookie;
    for (const instance of instances) {
      const digest = createHmac('sha256', key).update(`sticky\0${service}\0${instance.id}`).digest();
      const value = digest.subarray(0, VALUE_BYTES).toString('base64url');
      const ticket = { instance, value: Buffer.from(value, 'latin1'), setCookie: setCookie(settings, value) };
      this.#byHint.set(value.slice(0, HINT_LENGTH), ticket);
      this.#byInstance.set(instance, ticket);
    }
  }

  /** The instance that the caller's cookie names, usable or not; null without a valid cookie. */
  instanceOf(request: BalancerRequest): Instance<P> | null {
    const value = request.cookie(this.#cookie);
    if (value === null || value.length !== VALUE_LENGTH) return null;
    const ticket = this.#byHint.get(value.slice(0, HINT_LENGTH));
    if (ticket === undefined) return null;
    this.#scratch.write(value, 'latin1');
    return timingSafeEqual(this.#scratch, ticket.value) ? ticket.instance : null;
  }

  /** `Set-Cookie` that binds the caller to the instance. */
  setCookieFor(instance: Instance<P>): string | null {
    return this.#byInstance.get(instance)?.setCookie ?? null;
  }
}

/** The key that signs; throws when it is missing. */
export function stickyKey(settings: StickySettings, service: string, secrets: Secrets): string {
  const key = secrets[settings.key];
  if (key === undefined || key === '') throw new TypeError(`the key for sticky sessions of "${service}" is missing`);
  return key;
}

/** RFC 6265 §4.1. Without a time to live it lasts as long as the browser's session. */
function setCookie({ cookie, ttlSeconds, path, secure, sameSite }: StickySettings, value: string): string {
  const age = ttlSeconds > 0 ? `; Max-Age=${ttlSeconds}` : '';
  return `${cookie}=${value}; Path=${path}${age}; HttpOnly${secure ? '; Secure' : ''}; SameSite=${sameSite}`;
}
