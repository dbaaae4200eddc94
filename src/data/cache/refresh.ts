/**
 * Refreshes a stale response beside the request that got it (RFC 5861 §3): asks the service whether it still holds, and
 * stores what comes. One refresh per key over all workers, because it is a fill like any other; nobody waits for it. It
 * remembers what it needs of the request, which is over long before.
 */
import type { CacheSettings } from '../contract/cache.ts';
import type { Identity } from '../contract/policy.ts';
import type { ResponseHandler } from '../exchange/response-source.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRequest } from './cached-response.ts';
import type { CachedRoute, Refresh } from './cached-route.ts';
import { FillRecorder, type FillRequest } from './fill-recorder.ts';
import type { Place } from './lookup.ts';
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
  const remembered = new RememberedRequest(request, route.settings, place);
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

/** What makes keys and decides about storing, as it was. */
class RememberedRequest implements FillRequest {
  readonly method = 'GET';
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
  readonly identity: Identity | null;
  readonly #headers = new Map<string, string | null>();
  readonly #cookies = new Map<string, string | null>();

  constructor(request: CachedRequest, { key }: CacheSettings, place: Place) {
    this.scheme = request.scheme;
    this.authority = request.authority;
    this.path = request.path;
    this.query = request.query;
    this.identity = request.identity;
    for (const name of ['authorization', ...key.headers, ...(place.vary ?? [])])
      this.#headers.set(name, request.header(name));
    for (const name of key.cookies) this.#cookies.set(name, request.cookie(name));
  }

  knows(name: string): boolean {
    return this.#headers.has(name);
  }

  header(name: string): string | null {
    return this.#headers.get(name) ?? null;
  }

  cookie(name: string): string | null {
    return this.#cookies.get(name) ?? null;
  }
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
