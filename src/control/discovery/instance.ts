/**
 * An instance as discovery finds it, before it has an id and a slot: an address with what is known about it. Also the
 * one reading of an instance's URL, so that two sources that name one address agree that it is one.
 */

export interface InstanceInput {
  /** Canonical: scheme, host, port if it is not the scheme's own, path without a slash at its end. */
  readonly url: string;
  /** 1 is usual; 0 takes no new traffic. */
  readonly weight: number;
  readonly zone: string | null;
  /** False starts it as unhealthy, until a probe says otherwise. */
  readonly healthy: boolean;
  readonly metadata: Readonly<Record<string, string>>;
  /** Lower goes first: the others take traffic only when nothing healthy is left before them. 0 is usual. */
  readonly priority: number;
}

export const MAX_WEIGHT = 1_000;
/** Metadata travels in every snapshot to every worker, so it is small. */
export const MAX_METADATA = 16;
export const MAX_METADATA_KEY = 64;
export const MAX_METADATA_VALUE = 256;

export function instanceAt(url: string, more: Partial<Omit<InstanceInput, 'url'>> = {}): InstanceInput {
  return { url, weight: 1, zone: null, healthy: true, metadata: {}, priority: 0, ...more };
}

/** `http://10.0.0.7:80/api/` as `http://10.0.0.7/api`, or what was expected instead. */
export function readInstanceUrl(text: string): { readonly url: string } | { readonly expected: string } {
  if (text.length > 2_048) return { expected: 'a URL of at most 2048 characters' };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return { expected: 'an http or https URL such as http://10.0.0.7:4001' };
  }
  if (url.username !== '' || url.password !== '') return { expected: 'a URL without user name and password' };
  if (/[?#]/.test(text)) return { expected: 'a URL without query and fragment' };
  return { url: url.origin + url.pathname.replace(/\/+$/, '') };
}

/** `http://10.0.0.7:4001`, `https://[::1]:4001`. */
export function urlOf(scheme: 'http' | 'https', address: string, port: number): string {
  return new URL(`${scheme}://${address.includes(':') ? `[${address}]` : address}:${port}`).origin;
}

/** The same instances in the same order, as far as anybody downstream can tell. */
export function sameInstances(a: readonly InstanceInput[], b: readonly InstanceInput[]): boolean {
  return a.length === b.length && JSON.stringify(a) === JSON.stringify(b);
}

/** Text order of the URLs: an answer that comes in another order each time must not look like a change. */
export function byUrl(a: InstanceInput, b: InstanceInput): number {
  if (a.url === b.url) return 0;
  return a.url < b.url ? -1 : 1;
}
