/**
 * The commonest case: what is asked for often, is small, fresh and wanted as it is, is sent in one step out of the
 * worker's own memory.
 */
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import { MessageFraming } from '../parser/framing.ts';
import type { CachedRequest } from './cached-response.ts';
import type { CachedRoute } from './cached-route.ts';
import type { HotHead } from './hot-heads.ts';
import { Queues } from './store/queues.ts';

/** Of the access record. */
export const HIT_RECORD = ',"cache":"hit"';
/** The head is handed on before the next one is read, so one for all will do. */
const framing = new MessageFraming();
framing.lengthGiven = true;

export class HotHit implements ResponseSource {
  readonly #hot: HotHead;
  readonly #route: CachedRoute;
  readonly #request: CachedRequest;
  readonly #handler: ResponseHandler;
  readonly #wallMs: number;
  #isDone = false;

  /** What this request gets if it is so; null: it has to be looked for in the store. */
  static of(route: CachedRoute, request: CachedRequest, handler: ResponseHandler): HotHit | null {
    if (request.method !== 'GET' || request.contentLength !== 0 || request.hasAnyField(route.asksForMore)) return null;
    if (request.elsewhere !== null || request.upgrade !== '') return null;
    const { cache } = route;
    const known = cache.targets.get(route, request);
    const hot = known === null ? null : cache.hot.inState(known.entry, known.state);
    if (hot === null) return null;
    const wallMs = cache.clock.wallAt(request.nowMs);
    return hot.isFresh(wallMs) ? new HotHit(hot, route, request, handler, wallMs) : null;
  }

  /** `hot`: with its body, and fresh. */
  constructor(hot: HotHead, route: CachedRoute, request: CachedRequest, handler: ResponseHandler, wallMs: number) {
    this.#hot = hot;
    this.#route = route;
    this.#request = request;
    this.#handler = handler;
    this.#wallMs = wallMs;
  }

  start(): void {
    const hot = this.#hot;
    const { bodyBytes } = hot;
    const { counts, cache } = this.#route;
    Queues.hit(cache.store.words, cache.store.at(hot.entry));
    counts.result('hit');
    counts.bytes(bodyBytes);
    this.#request.logConstant(HIT_RECORD);
    this.#request.addResponseFields(hot.fields(this.#route, this.#wallMs));
    framing.bodyLength = bodyBytes;
    const handler = this.#handler;
    handler.onHead(hot.head, framing);
    if (!this.#isDone && bodyBytes > 0) handler.onBody(hot.body!, 0, bodyBytes);
    if (this.#isDone) return;
    this.#isDone = true;
    handler.onEnd(null);
  }

  resume(): void {}

  abandon(): void {
    this.#isDone = true;
  }
}
