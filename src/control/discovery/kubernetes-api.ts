/**
 * As much of the Kubernetes API as a watch and a lease need: GET, POST and PUT of a JSON document, and GET of a stream
 * of JSON lines. Everything has a deadline and a size limit. What the documents mean is kubernetes-slices.ts, when to
 * ask again is kubernetes.ts.
 */
import type { IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { onDemand } from '../../base/on-demand.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import type { KubernetesAccess } from './kubernetes-access.ts';

/** An answer that is not 200, with what the server says about it. */
export class ApiStatusError extends Error {
  readonly status: number;
  /** As in `JsonResponse`. */
  readonly dateMs: number | null;

  constructor(status: number, message: string, dateMs: number | null = null) {
    super(message);
    this.name = 'ApiStatusError';
    this.status = status;
    this.dateMs = dateMs;
  }
}

const REQUEST_TIMEOUT_MS = 30_000;
const MAX_DOCUMENT_BYTES = 64 * 1024 ** 2;
const MAX_LINE_BYTES = 16 * 1024 ** 2;
const MAX_ERROR_BYTES = 64 * 1024;

export interface ApiCall {
  readonly access: KubernetesAccess;
  /** Path and query. */
  readonly path: string;
  readonly timers: Timers;
  readonly signal: AbortSignal;
}

/** The parsed document; rejects on everything else. */
export async function getJson(call: ApiCall): Promise<unknown> {
  return (await exchangeJson(call, { method: 'GET' })).document;
}

export interface JsonRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly body?: unknown;
  /** Default: 30,000. */
  readonly timeoutMs?: number;
}

export interface JsonResponse {
  readonly document: unknown;
  /** The server's own clock when it answered, whole seconds, in milliseconds since 1970; null when it did not say. */
  readonly dateMs: number | null;
}

/** Sends a document, if there is one, and reads the one that comes back. Rejects on a status that is not 2xx. */
export async function exchangeJson(call: ApiCall, request: JsonRequest): Promise<JsonResponse> {
  const deadline = deadlineOf(call, request.timeoutMs ?? REQUEST_TIMEOUT_MS, 'no whole answer');
  try {
    const response = await open(call, deadline.signal, request);
    let text = '';
    let bytes = 0;
    for await (const chunk of response.setEncoding('utf8')) {
      bytes += (chunk as string).length;
      if (bytes > MAX_DOCUMENT_BYTES) throw new Error(`the answer is larger than ${MAX_DOCUMENT_BYTES} bytes`);
      text += chunk;
    }
    return { document: parse(text), dateMs: dateOf(response) };
  } catch (error) {
    throw deadline.reasonFor(error);
  } finally {
    deadline.cancel();
  }
}

export interface WatchListener {
  /** The server has accepted the watch. */
  onOpen(): void;
  onLine(line: unknown): void;
}

/** Hands over each line of the answer, parsed. Resolves when the server ends it; rejects after `idleMs` of silence. */
export async function watchJson(call: ApiCall, idleMs: number, listener: WatchListener): Promise<void> {
  const deadline = deadlineOf(call, REQUEST_TIMEOUT_MS, 'no answer');
  try {
    const response = await open(call, deadline.signal);
    let rest = '';
    listener.onOpen();
    deadline.extend(idleMs, 'nothing heard on the watch');
    for await (const chunk of response.setEncoding('utf8')) {
      deadline.extend(idleMs, 'nothing heard on the watch');
      const lines = (rest + (chunk as string)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE_BYTES) throw new Error(`an event is longer than ${MAX_LINE_BYTES} bytes`);
      for (const line of lines) if (line !== '') listener.onLine(parse(line));
    }
  } catch (error) {
    throw deadline.reasonFor(error);
  } finally {
    deadline.cancel();
  }
}

function open(call: ApiCall, signal: AbortSignal, { method, body }: JsonRequest = GET): Promise<IncomingMessage> {
  const { apiServer, token, ca } = call.access;
  const url = new URL(apiServer + call.path);
  return new Promise((resolve, reject) => {
    const text = body === undefined ? null : JSON.stringify(body);
    const options: RequestOptions = {
      method,
      signal,
      // A connection of its own: a watch holds one for minutes, and a list is rare.
      agent: false,
      headers: {
        accept: 'application/json',
        'user-agent': 'gatehouse',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
      ...(ca === null ? {} : { ca }),
    };
    const request = (url.protocol === 'https:' ? onDemand.https : onDemand.http).request(url, options);
    request.on('error', reject);
    request.on('response', (response) => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) resolve(response);
      else readRefusal(response).then(reject, reject);
    });
    request.end(text ?? undefined);
  });
}

async function readRefusal(response: IncomingMessage): Promise<ApiStatusError> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_ERROR_BYTES) break;
  }
  const status = response.statusCode ?? 0;
  let message: unknown;
  try {
    message = (JSON.parse(text) as { message?: unknown }).message;
  } catch {
    // Not a Status document: a proxy on the way, perhaps. The status says enough.
  }
  const words = typeof message === 'string' ? message.slice(0, 500) : `status ${status}`;
  return new ApiStatusError(status, words, dateOf(response));
}

function dateOf({ headers }: IncomingMessage): number | null {
  const ms = Date.parse(headers.date ?? '');
  return Number.isNaN(ms) ? null : ms;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('the API server sent something that is not JSON');
  }
}

const GET: JsonRequest = { method: 'GET' };

interface Deadline {
  readonly signal: AbortSignal;
  extend(ms: number, words: string): void;
  cancel(): void;
  /** The deadline's own words if it was the deadline that ended things. */
  reasonFor(error: unknown): unknown;
}

function deadlineOf(call: ApiCall, firstMs: number, firstWords: string): Deadline {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort();
  if (call.signal.aborted) controller.abort();
  call.signal.addEventListener('abort', onAbort, { once: true });
  let expired: string | undefined;
  let cancelTimer: Cancel = () => {};
  const extend = (ms: number, words: string): void => {
    cancelTimer();
    cancelTimer = call.timers.after(ms, () => {
      expired = `${words} within ${ms} ms`;
      controller.abort();
    });
  };
  extend(firstMs, firstWords);
  return {
    signal: controller.signal,
    extend,
    cancel: () => {
      cancelTimer();
      call.signal.removeEventListener('abort', onAbort);
      // Ends whatever is left of the exchange: an unread body would hold its connection.
      controller.abort();
    },
    reasonFor: (error) => (expired === undefined ? error : new Error(expired)),
  };
}
