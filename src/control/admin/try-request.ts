/**
 * Sends one request to the gateway's own listener, as a caller on this machine would, and says what came, how long each
 * step took and what the gateway recorded of it. Never sent elsewhere: of a URL only scheme, host field and path are
 * taken.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { onDemand } from '../../base/on-demand.ts';
import type { ListeningAddress } from '../feature-status.ts';
import type { TailHub, TailRecord } from './tail.ts';
import type { Steps, TriedStepsDesk } from './tried-steps.ts';

export interface Attempt {
  readonly method: string;
  readonly url: string;
  /** `Name: value`. */
  readonly headers: readonly string[];
  readonly body: string;
}

export interface Tried {
  readonly requestId: string;
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Text, cut; null where it is none. */
  readonly body: string | null;
  readonly bodyBytes: number;
  readonly isCut: boolean;
  /** Milliseconds as the caller sees them: until it was connected, until the head of the response, until its end. */
  readonly times: { readonly connectMs: number; readonly headMs: number; readonly endMs: number };
  /** As in the access log; null where it came too late or was one too many. */
  readonly record: TailRecord | null;
  /** What the worker measured; null where it came too late. */
  readonly steps: Steps | null;
}

/** Where the workers' words of it are found. */
export interface Watching {
  readonly hub: TailHub;
  readonly steps: TriedStepsDesk;
}

const MOST_SHOWN_BYTES = 16 * 1024;
const MOST_READ_BYTES = 4 * 1024 ** 2;
const TIMEOUT_MS = 60_000;
/** Record and steps come with the next turn of the worker. */
const LATEST_MS = 2_000;
/** Of the connection, which is ours. */
const OURS = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'x-request-id',
  'keep-alive',
  'te',
]);

/** Throws a `RangeError` on what cannot be sent, rejects with what went wrong on the way. */
export async function tryRequest(
  given: Attempt,
  addresses: readonly ListeningAddress[],
  { hub, steps }: Watching,
): Promise<Tried> {
  const base = URL.canParse(given.url) ? new URL(given.url) : new URL(given.url, 'http://gateway.invalid');
  const isTls = base.protocol === 'https:';
  const address = addresses.find(({ tls }) => tls === isTls) ?? addresses[0];
  if (address === undefined) throw new RangeError('the gateway has no listener');
  const requestId = `console-${randomUUID()}`;
  const record = soon<TailRecord>();
  const took = soon<Steps>();
  const stopTail = hub.watch({ text: requestId }, ({ requests }) => {
    const [first] = requests;
    if (first !== undefined) record.resolve(first);
    return true;
  });
  // What is published after the tail's order has reached the workers after it.
  const stopSteps = await steps.watch(requestId, took.resolve);
  try {
    const tried = await send(given, base, address, requestId);
    const [found, times] = await Promise.all([record.get(), took.get()]);
    return { requestId, ...tried, record: found, steps: times };
  } finally {
    stopTail();
    stopSteps();
  }
}

/** What comes from a worker, or null after a while. */
function soon<T>(): { resolve(found: T): void; get(): Promise<T | null> } {
  const { promise, resolve } = Promise.withResolvers<T | null>();
  const get = async (): Promise<T | null> => {
    const late = setTimeout(() => resolve(null), LATEST_MS);
    const found = await promise;
    clearTimeout(late);
    return found;
  };
  return { resolve, get };
}

async function send(
  given: Attempt,
  url: URL,
  { host, port, tls }: ListeningAddress,
  requestId: string,
): Promise<Omit<Tried, 'requestId' | 'record' | 'steps'>> {
  const headers: Record<string, string | string[]> = { 'x-request-id': requestId };
  if (url.hostname !== 'gateway.invalid') headers['host'] = url.host;
  for (const line of given.headers) {
    const at = line.indexOf(':');
    const name = line.slice(0, at).trim().toLowerCase();
    if (OURS.has(name)) throw new RangeError(`the field ${name} is the console's own`);
    headers[name] = line.slice(at + 1).trim();
  }
  const startedMs = performance.now();
  const since = (): number => Math.round((performance.now() - startedMs) * 100) / 100;
  let connectMs = 0;
  const options = {
    host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host,
    port,
    method: given.method,
    path: `${url.pathname}${url.search}`,
    headers,
    agent: false,
    // To itself: what its certificate is good for elsewhere does not matter here.
    rejectUnauthorized: false,
    ...(isIP(url.hostname) === 0 && tls ? { servername: url.hostname } : {}),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  return await new Promise((resolve, reject) => {
    const request = (tls ? onDemand.https : onDemand.http).request(options, (response) => {
      const headMs = since();
      read(response).then(({ bytes, size }) => {
        const shown = bytes.subarray(0, MOST_SHOWN_BYTES);
        resolve({
          status: response.statusCode ?? 0,
          headers: pairs(response.rawHeaders),
          body: isText(response) ? shown.toString('utf8') : null,
          bodyBytes: size,
          isCut: size > shown.length,
          times: { connectMs, headMs, endMs: since() },
        });
      }, reject);
    });
    request.on('socket', (socket) => {
      socket.once(tls ? 'secureConnect' : 'connect', () => {
        connectMs = since();
      });
    });
    request.on('error', reject);
    request.end(given.body === '' ? undefined : given.body);
  });
}

/** Reads no more than is sensible; an event stream ends there too. */
async function read(response: IncomingMessage): Promise<{ bytes: Buffer; size: number }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= MOST_READ_BYTES) chunks.push(chunk);
    const isStream = response.headers['content-type']?.startsWith('text/event-stream') === true;
    if (size > MOST_READ_BYTES || isStream) break;
  }
  return { bytes: Buffer.concat(chunks), size };
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index] ?? '', raw[2 * index + 1] ?? '']);
}

function isText(response: IncomingMessage): boolean {
  if (response.headers['content-encoding'] !== undefined) return false;
  return /^(text\/|application\/(.*\+)?(json|xml|problem|javascript|x-www-form-urlencoded))/.test(
    response.headers['content-type'] ?? 'text/',
  );
}
