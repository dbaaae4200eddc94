/**
 * The words of the registry: settings, registrations and their results; and the keys under which addresses are
 * remembered.
 */
import type { DampingSettings } from './damping.ts';

/** Of one service, as its `discovery.registry` says. */
export interface RegistrationRules {
  /** CIDR blocks; empty allows every address but link-local ones. */
  readonly allow: readonly string[];
  readonly maxInstances: number;
}

export interface RegistrySettings {
  readonly leaseMs: { readonly default: number; readonly min: number; readonly max: number };
  /** After a restart a lease lasts at least this long, so that its holder can find the gateway again. */
  readonly restartGraceMs: number;
  readonly damping: DampingSettings;
}

export interface Registration {
  /** Canonical. */
  readonly url: string;
  readonly weight: number;
  readonly zone: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly leaseMs: number;
}

export type Changes = Partial<Pick<Registration, 'weight' | 'zone' | 'metadata'>>;

/** A registered instance as the API shows it. Times of day, milliseconds since 1970. */
export interface Lease extends Registration {
  readonly service: string;
  readonly id: string;
  /** `held`: flaps, gets no traffic until `heldUntilMs`. */
  readonly state: 'active' | 'held';
  readonly heldUntilMs: number | null;
  readonly comebacks: number;
  readonly registeredAtMs: number;
  readonly expiresAtMs: number;
}

export type RegisterResult =
  | {
      readonly ok: true;
      readonly lease: Lease;
      readonly isNew: boolean;
      /** The lease that this one took the place of. */
      readonly replaces: Pick<LeaseCopy, 'id' | 'leaseMs'> | null;
    }
  | { readonly ok: false; readonly refusal: 'unknown' }
  | { readonly ok: false; readonly refusal: 'full'; readonly most: number }
  | { readonly ok: false; readonly refusal: 'address'; readonly expected: string };

/** As the registry holds it. */
export interface Entry extends Registration {
  readonly service: string;
  readonly id: string;
  readonly registeredAtMs: number;
  /** Monotonic. */
  expiresMs: number;
  /** Monotonic; 0 when not held. */
  heldUntilMs: number;
}

/**
 * A lease as nodes of a cluster hand it to each other: times are spans up to or from the moment when it is handed on,
 * for their clocks differ.
 */
export interface LeaseCopy extends Registration {
  readonly service: string;
  readonly id: string;
  readonly registeredAtMs: number;
  /** Held back for so long from now; 0 when it is not. */
  readonly heldMs: number;
  /** How long ago it came back, each time. */
  readonly comebacksMs: readonly number[];
}

export function byUrlOf(a: Entry, b: Entry): number {
  return a.url < b.url ? -1 : 1;
}

/** Service names have no blank. */
export function keyOf(service: string, url: string): string {
  return `${service} ${url}`;
}

export function serviceOf(key: string): string {
  return key.slice(0, key.indexOf(' '));
}

export function urlOf(key: string): string {
  return key.slice(key.indexOf(' ') + 1);
}
