/**
 * Refreshes a stale response beside the request that got it (RFC 5861 §3): asks the service whether it still holds, and
 * stores what comes. One refresh per key over all workers, because it is a fill like any other; nobody waits for it.
 */
import type { ResponseHandler } from '../exchange/response-source.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRequest } from './cached-response.ts';
import type { CachedRoute, Refresh } from './cached-route.ts';
import { FillRecorder } from './fill-recorder.ts';
import type { Place } from './lookup.ts';
import { RememberedRequest } from './remembered-request.ts';
import { NO_DIRECTIVES } from './rules/directives.ts';
import { isErrorStatus } from './rules/reuse.ts';
import { conditionsOf, speaksOf, validatorsOf } from './rules/validation.ts';
import type { Reader } from './store/reader.ts';
import { readStored } from './stored-head.ts';
import { TierFill } from './tier/tier-fill.ts';

export function refreshBeside(
  route: CachedRoute,
  request: CachedRequest,
  place: Place,
  stale: Reader,
  refresh: Refresh,
): void {
  const remembered = new RememberedRequest(request, route.settings, place.vary);
  const recorder = FillRecorder.begin(route, remembered, place);
  if (!(recorder instanceof FillRecorder)) return;
  if (route.tier !== null) {
    recorder.tier = new TierFill(route.tier, route, remembered, place.firstKey);
    recorder.tier.look();
  }
  const reader = stale.share();
  const head = readStored(reader.head(), route.cache.head);
  refresh(conditionsOf(validatorsOf(head)), new RefreshHandler(route, recorder, reader));
}

class RefreshHandler implements ResponseHandler {
  readonly holder = null;
  readonly #route: CachedRoute;
  readonly #recorder: FillRecorder;
  readonly #stale: Reader;
  readonly #requestMs: number;

  constructor(route: CachedRoute, recorder: FillRecorder, stale: Reader) {
    this.#route = route;
    this.#recorder = recorder;
    this.#stale = stale;
    this.#requestMs = route.cache.clock.wallMs();
  }

  onHead(head: Head, framing: MessageFraming): void {
    const recorder = this.#recorder;
    if (head.status !== 304) {
      // What is stored is better than a failure, for as long as it may be used.
      if (isErrorStatus(head.status)) recorder.giveUp(0);
      else recorder.begin(head, framing, NO_DIRECTIVES, this.#requestMs);
      return;
    }
    const stored = readStored(this.#stale.head(), this.#route.cache.head);
    if (speaksOf(validatorsOf(stored), validatorsOf(head)))
      recorder.update(this.#stale, stored, head, framing.nominated, this.#requestMs);
    else recorder.giveUp(0);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#recorder.append(bytes, start, end);
  }

  onEnd(): void {
    this.#recorder.end();
    this.#stale.close();
  }

  onReply(): void {
    this.onFault();
  }

  onUpgraded(): void {
    this.onFault();
  }

  onFault(): void {
    this.#recorder.giveUp(0);
    this.#stale.close();
  }

  onInterim(): void {}

  onRequestDrain(): void {}

  flush(): boolean {
    return true;
  }
}
