/**
 * What a probe is: one question to one instance, answered good or not, with a reason that a person can read. A probe
 * never throws and never retries; deadlines come as a signal, thresholds and schedule are the monitor's.
 */
import type { HealthCheckSettings } from './options.ts';

/** Where to ask. Built from an instance of the snapshot and the check's own port. */
export interface ProbeAddress {
  readonly protocol: 'http' | 'https';
  /** Without brackets when it is IPv6. */
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | null;
  /** Path of the instance URL, without a slash at its end; `''` for none. */
  readonly basePath: string;
  readonly tls: ProbeTls | null;
}

/** PEM texts. Null fields take Node's defaults. */
export interface ProbeTls {
  readonly serverName: string | null;
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly verify: boolean;
}

export interface ProbeOutcome {
  readonly ok: boolean;
  /** Status of an HTTP answer, `grpc-status` of a gRPC call; null when there was none. */
  readonly status: number | null;
  /** Lower case, no full stop; null when good. */
  readonly reason: string | null;
}

export interface Probe {
  /** Settles soon after `signal` aborts; what it says then does not matter. */
  run(address: ProbeAddress, check: HealthCheckSettings, signal: AbortSignal): Promise<ProbeOutcome>;
}

export function good(status: number | null = null): ProbeOutcome {
  return { ok: true, status, reason: null };
}

export function bad(reason: string, status: number | null = null): ProbeOutcome {
  return { ok: false, status, reason };
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ENOENT: 'no such socket',
  ENOTFOUND: 'the host name has no address',
  EPIPE: 'connection closed',
  ETIMEDOUT: 'connection timed out',
};

/** What went wrong on a socket, in words, with Node's code for searches. */
export function socketFault(error: unknown): ProbeOutcome {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return bad(message);
  if (code.startsWith('HPE_')) return bad(`the answer is not HTTP (${code})`);
  const words = WORDS[code];
  return bad(words === undefined ? `${message} (${code})` : `${words} (${code})`);
}

/** What `node:tls` and everything over it takes. */
export function tlsOptions(tls: ProbeTls | null): {
  rejectUnauthorized: boolean;
  servername?: string;
  ca?: string;
  cert?: string;
  key?: string;
} {
  return {
    rejectUnauthorized: tls?.verify ?? true,
    ...(tls?.serverName ? { servername: tls.serverName } : {}),
    ...(tls?.ca ? { ca: tls.ca } : {}),
    ...(tls?.cert ? { cert: tls.cert } : {}),
    ...(tls?.key ? { key: tls.key } : {}),
  };
}

/** `[::1]:80`, `127.0.0.1:80`; the default port of the scheme is left out, as in a Host field. */
export function authorityOf(address: ProbeAddress, secure: boolean): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return address.port === (secure ? 443 : 80) ? host : `${host}:${address.port}`;
}

/** Field names as HTTP/2 wants them and as fields are compared. */
export function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
