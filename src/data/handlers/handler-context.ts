/** What a handler knows of the exchange beside the request. Most of it is found out when it is asked for. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { HandlerContext } from '../contract/user-handler.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { fetchService } from './fetch-service.ts';

export class OwnContext implements HandlerContext {
  readonly options: unknown;
  readonly log: Logger;
  readonly clock: Clock;
  readonly #exchange: Exchange;
  readonly #call: { readonly signal: AbortSignal };
  #params: HandlerContext['params'] | null = null;

  constructor(exchange: Exchange, call: { readonly signal: AbortSignal }, options: unknown, log: Logger, clock: Clock) {
    this.#exchange = exchange;
    this.#call = call;
    this.options = options;
    this.log = log;
    this.clock = clock;
  }

  /** The exchange is over: what may be asked for later is read now, since its memory is used again. */
  detach(): void {
    this.requestId;
    this.params;
  }

  get requestId(): string {
    return this.#exchange.requestId;
  }

  get routeId(): string {
    return this.#exchange.routeId;
  }

  get params(): HandlerContext['params'] {
    this.#params ??= this.#exchange.params;
    return this.#params;
  }

  get identity(): HandlerContext['identity'] {
    return this.#exchange.identity;
  }

  get address(): string {
    return this.#exchange.address;
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }

  /** A function that can be taken from its object, as handlers do. */
  get fetch(): HandlerContext['fetch'] {
    return (input, init) => fetchService(this.#exchange, this.#call.signal, input, init);
  }

  get logField(): HandlerContext['logField'] {
    return (name, value) => this.#exchange.logField(name, value);
  }
}
