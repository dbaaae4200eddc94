/**
 * Stands before a built-in service whose state another process takes over: requests wait while it is closed, and are
 * then answered here after all, or by the successor, which has the socket's path by then.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { onDemand } from '../base/on-demand.ts';

/** What runs longer is a stream that changes nothing. */
const RUNNING_MS = 2_000;

export class Gate {
  readonly listener: RequestListener;
  readonly #inner: RequestListener;
  readonly #path: string;
  #state: 'open' | 'held' | 'forwards' = 'open';
  #running = 0;
  #waiting: (() => void)[] = [];
  #onIdle: () => void = () => {};

  constructor(inner: RequestListener, path: string) {
    this.#inner = inner;
    this.#path = path;
    this.listener = (request, response) => this.#take(request, response);
  }

  /** Resolves when what was under way is answered. */
  async hold(): Promise<void> {
    this.#state = 'held';
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, RUNNING_MS);
      this.#onIdle = () => {
        clearTimeout(late);
        resolve();
      };
    });
  }

  open(): void {
    this.#go('open');
  }

  /** The process that listens at the path now answers. */
  forward(): void {
    this.#go('forwards');
  }

  #go(state: 'open' | 'forwards'): void {
    this.#state = state;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each();
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#state === 'held') {
      this.#waiting.push(() => {
        if (!response.destroyed) this.#take(request, response);
      });
      return;
    }
    if (this.#state === 'forwards') {
      this.#forward(request, response);
      return;
    }
    this.#running++;
    response.once('close', () => {
      if (--this.#running === 0) this.#onIdle();
    });
    this.#inner(request, response);
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    const { method, url, rawHeaders } = request;
    const call = onDemand.http.request(
      { socketPath: this.#path, method, path: url, headers: rawHeaders, setHost: false, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, withoutConnection(answer.rawHeaders));
        answer.pipe(response);
        answer.once('error', () => response.destroy());
      },
    );
    call.once('error', () => response.destroy());
    response.once('close', () => call.destroy());
    request.pipe(call);
  }
}

/** RFC 9110 §7.6.1: those of one connection are not those of the other. */
function withoutConnection(raw: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (!/^(connection|keep-alive|transfer-encoding)$/i.test(raw[i]!)) kept.push(raw[i]!, raw[i + 1]!);
  }
  return kept;
}
