/**
 * Calls of services by way of the workers, each time another one: the bridge's end of data/service-calls.ts. A worker
 * that ends takes its calls with it; whether they arrived is not known then.
 */
import type { MessagePort } from 'node:worker_threads';
import type { ToBridgeBatch } from '../../../data/contract/channel-link.ts';
import type {
  IdentifyCall,
  IdentifyResult,
  ServiceCall,
  ServiceCallResult,
} from '../../../data/contract/service-calls.ts';

export type CallRequest = Omit<ServiceCall, 'id' | 'kind'>;
export type IdentifiedCaller = NonNullable<IdentifyResult['caller']>;

/** Longer than any call takes: the worker ends each by its own time limit. */
const SILENCE_MS = 15_000;

interface Waiting {
  readonly port: MessagePort;
  readonly resolve: (result: ServiceCallResult | IdentifyResult) => void;
  readonly timer: NodeJS.Timeout;
}

export class ServiceCallers {
  readonly #ports: MessagePort[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #turn = 0;
  #lastId = 0;

  /** There is somebody to call services. */
  get isReady(): boolean {
    return this.#ports.length > 0;
  }

  add(port: MessagePort): void {
    this.#ports.push(port);
    port.on('message', (result: ServiceCallResult | IdentifyResult | ToBridgeBatch) => {
      if (result.kind !== 'channels') this.#settle(result);
    });
    port.on('close', () => {
      this.#ports.splice(this.#ports.indexOf(port), 1);
      for (const [id, waiting] of this.#waiting) {
        if (waiting.port === port) this.#settle({ id, kind: 'fault', reason: 'worker_ended', mayHaveArrived: true });
      }
    });
  }

  async call(request: CallRequest): Promise<ServiceCallResult> {
    const id = ++this.#lastId;
    const result = await this.#ask({ ...request, kind: 'call', id }, request.timeoutMs + SILENCE_MS);
    return result.kind === 'identity' ? { id, kind: 'fault', reason: 'internal', mayHaveArrived: true } : result;
  }

  /** Who a caller with these fields would be on a route; null: nobody who may come in, or it could not be found out. */
  async identify(route: string, fields: IdentifyCall['fields']): Promise<IdentifiedCaller | null> {
    const result = await this.#ask({ kind: 'identify', id: ++this.#lastId, route, fields }, SILENCE_MS);
    return result.kind === 'identity' ? result.caller : null;
  }

  #ask(message: ServiceCall | IdentifyCall, withinMs: number): Promise<ServiceCallResult | IdentifyResult> {
    const { id } = message;
    const port = this.#ports[this.#turn++ % Math.max(1, this.#ports.length)];
    if (port === undefined) {
      return Promise.resolve({ id, kind: 'fault', reason: 'no_worker', mayHaveArrived: false });
    }
    return new Promise((resolve) => {
      const silent = { id, kind: 'fault', reason: 'worker_silent', mayHaveArrived: true } as const;
      const timer = setTimeout(() => this.#settle(silent), withinMs);
      this.#waiting.set(id, { port, resolve, timer });
      port.postMessage(message);
    });
  }

  #settle(result: ServiceCallResult | IdentifyResult): void {
    const waiting = this.#waiting.get(result.id);
    if (waiting === undefined) return;
    this.#waiting.delete(result.id);
    clearTimeout(waiting.timer);
    waiting.resolve(result);
  }

  close(): void {
    for (const port of [...this.#ports]) port.close();
  }
}
