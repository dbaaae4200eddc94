/**
 * One call to the cluster over `fetch`: tries the given gateways in turn while a call reaches nobody or is answered
 * 502, 503 or 504, and only where trying again is safe. Used by the client and the worker.
 */
import { pause } from './pause.ts';

export interface CallOptions {
  /** Gateways, such as `https://gateway.example`; the first one that answers is used until it fails. */
  readonly url: string | readonly string[];
  /** Path under which the cluster is served. Default `/api/v1`. */
  readonly path?: string;
  /** Longest time of one call, milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

/** The cluster answered with an error, or (status 0) no gateway could be reached. */
export class ClusterCallError extends Error {
  readonly status: number;
  /** Such as `TASK_NOT_YOURS`; empty when there was no body of ours. */
  readonly code: string;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Sending it twice is the same as once. */
  readonly isRepeatable: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const AWAY = new Set([502, 503, 504]);
/** Times that each gateway is tried. */
const ROUNDS = 4;
const PAUSE_MS = 250;

export class Transport {
  readonly #bases: readonly string[];
  readonly #timeoutMs: number;
  readonly #fetch: typeof fetch;
  #current = 0;

  constructor({ url, path = '/api/v1', timeoutMs = 10_000, fetch: given = fetch }: CallOptions) {
    this.#bases = [url].flat().map((base) => `${base.replace(/\/$/, '')}${path}`);
    if (this.#bases.length === 0) throw new TypeError('no URL of a gateway was given');
    this.#timeoutMs = timeoutMs;
    this.#fetch = given;
  }

  /**
   * The JSON of the response, or undefined for 204. A call that may be repeated is tried at each gateway, several times
   * with growing pauses, before it fails. Rejects with a `ClusterCallError`.
   */
  async call(call: Call): Promise<unknown> {
    let failure: unknown;
    const most = this.#bases.length * (call.isRepeatable ? ROUNDS : 1);
    for (let tried = 0; tried < most; tried++) {
      if (tried > 0 && tried % this.#bases.length === 0)
        await pause(PAUSE_MS * 2 ** (tried / this.#bases.length - 1) * (0.5 + Math.random()), call.signal).catch(
          () => {},
        );
      const response = await this.#send(call).catch((error: unknown) => {
        failure = error;
        return undefined;
      });
      if (call.signal?.aborted === true) break;
      if (response !== undefined && !(AWAY.has(response.status) && call.isRepeatable)) return await read(response);
      if (response !== undefined) failure = await read(response).catch((error: unknown) => error);
      // Without a response nobody knows whether it had its effect.
      if (response === undefined && !call.isRepeatable && !isRefused(failure)) break;
      this.#current = (this.#current + 1) % this.#bases.length;
    }
    if (failure instanceof ClusterCallError) throw failure;
    const reason = failure instanceof Error ? failure.message : String(failure);
    throw new ClusterCallError(0, '', `no gateway could be reached: ${reason}`, { cause: failure });
  }

  async #send({ method, path, headers, body, timeoutMs, signal }: Call): Promise<Response> {
    const limit = AbortSignal.timeout(timeoutMs ?? this.#timeoutMs);
    return await this.#fetch(`${this.#bases[this.#current]}${path}`, {
      method,
      headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      redirect: 'error',
    });
  }
}

async function read(response: Response): Promise<unknown> {
  const text = await response.text();
  if (response.ok) return text === '' ? undefined : JSON.parse(text);
  const { code, message } = describe(text);
  throw new ClusterCallError(response.status, code, message === '' ? `status ${response.status}` : message);
}

/** Of the three error shapes that a gateway may have. */
function describe(text: string): { code: string; message: string } {
  try {
    const body = JSON.parse(text) as Record<string, unknown> & { error?: Record<string, unknown> };
    const at = body.error ?? body;
    return { code: String(at['code'] ?? at['error_code'] ?? ''), message: String(at['message'] ?? at['title'] ?? '') };
  } catch {
    return { code: '', message: '' };
  }
}

/** Nothing was sent. */
function isRefused(error: unknown): boolean {
  const cause = (error as { cause?: { code?: unknown } } | undefined)?.cause;
  return cause?.code === 'ECONNREFUSED' || cause?.code === 'ENOTFOUND' || cause?.code === 'UND_ERR_CONNECT_TIMEOUT';
}
