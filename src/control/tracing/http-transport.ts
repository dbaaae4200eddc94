/**
 * OTLP over HTTP: one POST a try, with a length, so that the bytes of a batch go to the kernel as they are. A try ends
 * at its deadline even if the collector goes on sending: the delegate of OpenTelemetry only notices silence.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import type { ExportResponse } from '@opentelemetry/otlp-exporter-base';
import type { Timers } from '../../base/system-timers.ts';
import { RetryingTransport } from './retrying-transport.ts';
import type { ExporterPlan } from './section.ts';
import { USER_AGENT } from './user-agent.ts';

/** Of OTLP/HTTP, "Retryable Response Codes". */
const RETRYABLE = new Set([429, 502, 503, 504]);
const RETRYABLE_ERRORS = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOTFOUND',
  'ENETUNREACH',
  'EHOSTUNREACH',
]);
/** A response says how many spans were left out, and why. */
const MOST_RESPONSE_BYTES = 1_024 * 1_024;

export async function httpTransport(
  { url, headers, gzip, tls }: ExporterPlan,
  timers: Timers,
): Promise<RetryingTransport> {
  const { Agent, request } = await (url.startsWith('https:') ? import('node:https') : import('node:http'));
  const packed = gzip ? promisify((await import('node:zlib')).gzip) : null;
  const given = Object.fromEntries(Object.entries(tls).filter(([, pem]) => pem !== null));
  const agent = new Agent({ keepAlive: true, ...given });
  const fields = {
    ...headers,
    'Content-Type': 'application/x-protobuf',
    'User-Agent': USER_AGENT,
    ...(gzip ? { 'Content-Encoding': 'gzip' } : {}),
  };

  const once = async (data: Uint8Array, deadlineMs: number): Promise<ExportResponse> => {
    const body = packed === null ? data : await packed(data);
    for (;;) {
      const sent = request(url, { method: 'POST', agent, headers: { ...fields, 'Content-Length': body.length } });
      const result = await post(sent, body, deadlineMs, timers);
      // A connection that was closed while it lay idle: nobody has read of it.
      if (result !== STALE) return result;
    }
  };
  return new RetryingTransport(once, () => agent.destroy(), timers);
}

const STALE = 'stale';

function post(
  sent: ClientRequest,
  body: Uint8Array,
  deadlineMs: number,
  timers: Timers,
): Promise<ExportResponse | typeof STALE> {
  return new Promise((resolve) => {
    const end = (result: ExportResponse | typeof STALE): void => {
      cancel();
      // One that responds before it has read the whole would get the rest of memory that is used again.
      if (!sent.writableFinished) sent.destroy();
      resolve(result);
    };
    const cancel = timers.after(Math.max(0, deadlineMs - Date.now()), () => {
      sent.destroy();
      end({ status: 'retryable', error: new Error('no whole response in time') });
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      if (sent.reusedSocket && error.code === 'ECONNRESET') end(STALE);
      else end({ status: RETRYABLE_ERRORS.has(error.code ?? '') ? 'retryable' : 'failure', error });
    });
    sent.on('response', (response) => readResponse(response, end));
    sent.end(body);
  });
}

function readResponse(response: IncomingMessage, end: (result: ExportResponse) => void): void {
  const pieces: Buffer[] = [];
  let length = 0;
  response.on('data', (piece: Buffer) => {
    length += piece.length;
    pieces.push(piece);
    if (length <= MOST_RESPONSE_BYTES) return;
    response.destroy();
    end({ status: 'failure', error: new Error(`the response has more than ${MOST_RESPONSE_BYTES} bytes`) });
  });
  response.on('end', () => end(resultOf(response, Buffer.concat(pieces))));
  // It broke off: what its status said holds.
  response.on('error', () => end(resultOf(response, Buffer.alloc(0))));
}

function resultOf({ statusCode = 0, headers }: IncomingMessage, data: Buffer): ExportResponse {
  if (statusCode >= 200 && statusCode < 300) return { status: 'success', data };
  const error = new Error(`the collector responds ${statusCode}`);
  if (!RETRYABLE.has(statusCode)) return { status: 'failure', error };
  const askedMs = retryAfterMs(headers['retry-after']);
  return { status: 'retryable', error, ...(askedMs === null ? {} : { retryInMillis: askedMs }) };
}

/** RFC 9110 §10.2.3: seconds, or a date. Null where there is neither. */
function retryAfterMs(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - Date.now());
}
