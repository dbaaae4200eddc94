/** The `Cache-Status` field (RFC 9211): how this cache handled the request, in the words of the document. */

export type Forwarded = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial';

export interface Handling {
  /** Of a hit: seconds of freshness left, negative when stale. */
  readonly ttl?: number;
  readonly fwd?: Forwarded;
  readonly fwdStatus?: number;
  readonly stored?: boolean;
  readonly collapsed?: boolean;
  readonly detail?: string;
}

/** `name`: an identifier as a token. */
export function cacheStatus(name: string, how: Handling): string {
  let value = name;
  if (how.fwd === undefined) value += '; hit';
  else value += `; fwd=${how.fwd}`;
  if (how.fwdStatus !== undefined) value += `; fwd-status=${how.fwdStatus}`;
  if (how.ttl !== undefined) value += `; ttl=${how.ttl}`;
  if (how.stored === true) value += '; stored';
  if (how.collapsed === true) value += '; collapsed';
  if (how.detail !== undefined) value += `; detail=${how.detail}`;
  return value;
}

/** A token that names the gateway: of another text, what is left of it. */
export function statusName(text: string): string {
  const token = text.replace(/[^!#$%&'*+\-.^_`|~0-9A-Za-z:/]/g, '');
  return /^[A-Za-z*]/.test(token) ? token : 'gatehouse';
}
