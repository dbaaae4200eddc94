/**
 * The second tier in one fetch: asks Redis before the service is asked, agrees with other gateways who asks that, and
 * writes there what the fetch has stored in memory. What it needs of the request it reads while the request is there.
 */
import { type Cancel, systemTimers } from '../../../base/system-timers.ts';
import type { TierLockResult } from '../../contract/cache-tier.ts';
import type { CachedRoute } from '../cached-route.ts';
import { choosingNames, ELSEWHERE, hasParts, type KeyRequest, secondKey } from '../keys.ts';
import { RememberedRequest } from '../remembered-request.ts';
import { hasValidator } from '../rules/storing.ts';
import { Reader } from '../store/reader.ts';
import type { Entry } from '../store/store.ts';
import { readStored, tagNames } from '../stored-head.ts';
import type { FillLock } from './fill-lock.ts';
import type { RedisTier, TierTicket } from './redis-tier.ts';
import { keptMs, objectValue, type TierObject } from './tier-value.ts';

/** Between two looks at what another gateway is about to write. */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;

export class TierFill {
  readonly #tier: RedisTier;
  readonly #route: CachedRoute;
  #request: KeyRequest & { knows?(name: string): boolean };
  readonly #firstKey: string;
  /** Null: not asked, not answered yet, or away; then nothing is written either. */
  #ticket: TierTicket | null = null;
  #isOver = false;
  /** While this fetch is the one of all gateways. */
  #lock: FillLock | null = null;
  #pause: Cancel | null = null;

  constructor(tier: RedisTier, route: CachedRoute, request: KeyRequest, firstKey: string) {
    this.#tier = tier;
    this.#route = route;
    this.#request = request;
    this.#firstKey = firstKey;
  }

  /**
   * What Redis has, or what another gateway is about to write there. False: Redis cannot be asked now. Otherwise `done`
   * is called once, later, unless this is closed before.
   */
  read(done: (object: TierObject | null) => void): boolean {
    const { waitMs } = this.#route.settings;
    // Who follows this fill in memory waits no longer than `waitMs`, so what this one waits for has to leave some.
    const untilMs = this.#now() + waitMs / 2;
    const isAsked = this.#look((object) => {
      if (this.#ticket === null || waitMs === 0 || this.#isOfUse(object)) done(object);
      else this.#agree(object, untilMs, FIRST_PAUSE_MS, done);
    });
    if (!isAsked) this.#route.counts.tierRead('away');
    return isAsked;
  }

  #look(found: (object: TierObject | null) => void): boolean {
    const { counts, cache, settings } = this.#route;
    return this.#tier.read(
      this.#firstKey,
      hasParts(settings.key) || this.#request.elsewhere !== null,
      // Nobody takes what comes after the request is over, so any key will do; nothing is written under this one.
      (vary) => (this.#isOver || !this.#mayFind(vary) ? '' : this.#parts(vary)),
      (head) => tagNames(readStored(head, cache.otherHead)),
      (result, ticket, object) => {
        counts.tierRead(result);
        this.#ticket = ticket;
        if (!this.#isOver) found(object);
      },
    );
  }

  /** It can be sent without asking the service before. */
  #isOfUse(object: TierObject | null): boolean {
    if (object === null) return false;
    const { freshUntilMs, staleWhileRevalidateS } = object.terms;
    return freshUntilMs + staleWhileRevalidateS * 1_000 > this.#route.cache.clock.wallMs();
  }

  /**
   * One of all gateways fetches; the others look every now and then whether it has written. `hasWaited`: another one
   * held the lock the time before.
   */
  #agree(
    stale: TierObject | null,
    untilMs: number,
    pauseMs: number,
    done: (object: TierObject | null) => void,
    hasWaited = false,
  ): void {
    const ticket = this.#ticket!;
    const { counts } = this.#route;
    const lock = this.#tier.lockOf(this.#firstKey, ticket, this.#parts(ticket.version.vary ?? []));
    const end = (result: TierLockResult, object: TierObject | null): void => {
      counts.tierLock(result);
      done(object);
    };
    const lookAgain = (): void => {
      const isAsked = this.#look((object) => {
        if (this.#isOfUse(object)) end('waited', object);
        else if (this.#ticket === null) end('failed', object);
        else this.#agree(object, untilMs, Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS), done, true);
      });
      if (!isAsked) end('failed', stale);
    };
    const isAsked = this.#tier.take(lock, (answer) => {
      if (answer === 'taken') {
        if (this.#isOver) {
          lock.end(0);
          return;
        }
        this.#lock = lock;
        lock.hold();
      }
      if (this.#isOver) return;
      if (answer === 'taken' && hasWaited) this.#lookOnceMore(lock, stale, end);
      else if (answer === 'taken') end('taken', stale);
      else if (answer === 'passes') end('passed', stale);
      else if (answer === null) end('failed', stale);
      else if (this.#now() >= untilMs) end('late', stale);
      else this.#pause = systemTimers.after(pauseMs, lookAgain);
    });
    if (!isAsked) end('failed', stale);
  }

  /** Whoever held the lock may have written, and ended it, since this one has looked. */
  #lookOnceMore(
    lock: FillLock,
    stale: TierObject | null,
    end: (result: TierLockResult, object: TierObject | null) => void,
  ): void {
    const isAsked = this.#look((object) => {
      if (!this.#isOfUse(object)) {
        end('taken', object);
        return;
      }
      this.#lock = null;
      lock.end(0);
      end('waited', object);
    });
    if (!isAsked) end('taken', stale);
  }

  #now(): number {
    return this.#route.cache.clock.monotonicMs();
  }

  /** Finds out, beside a fetch that is under way already, what its result would replace. */
  look(): void {
    void this.#tier.look(this.#firstKey).then((ticket) => {
      this.#ticket = ticket;
    });
  }

  /** An entry that is about to be whole, for `write`; null: it will not be written. */
  reader(entry: Entry): Reader | null {
    return this.#ticket === null ? null : Reader.open(this.#route.cache.store, entry);
  }

  /** Writes what a reader reads, and closes it. */
  write(reader: Reader): void {
    const ticket = this.#ticket!;
    const { counts, cache, settings } = this.#route;
    const refusal = this.#tier.mayWrite(reader.bodyBytes);
    if (refusal !== null) {
      reader.close();
      counts.tierWrite(refusal);
      this.end(0);
      return;
    }
    const head = reader.head();
    const fields = readStored(head, cache.otherHead);
    const kept = keptMs(reader.terms, hasValidator(fields), cache.clock.wallMs());
    const names = [
      ...new Set([...(ticket.version.vary ?? []), ...choosingNames(this.#request, fields.valueOf('vary'))]),
    ].sort();
    const needsMarker = ticket.version.vary !== null || names.length > 0 || hasParts(settings.key);
    const knowsAll = names.every((name) => this.#request.knows?.(name) ?? true);
    const { bodyBytes } = reader;
    const value = objectValue(reader.terms, ticket.sequence, head, bodyBytes, (target, at) =>
      reader.read(target, at, bodyBytes),
    );
    reader.close();
    if (kept === 0 || !knowsAll) {
      this.end(0);
      return;
    }
    const parts = needsMarker ? this.#parts(names) : null;
    void this.#tier.write({ firstKey: this.#firstKey, ticket, names, parts, value, keptMs: kept }).then((result) => {
      counts.tierWrite(result);
      this.end(0);
    });
  }

  /**
   * The fetch is over. Other gateways that wait for it look for what it has written; `passMs` above 0: they should not
   * wait for such a response for so long.
   */
  end(passMs: number): void {
    this.#lock?.end(passMs);
    this.#lock = null;
  }

  /** What is stored there is out of date, and what is true now may not be stored. */
  forget(): void {
    if (this.#ticket !== null && this.#ticket.version.seen !== '') this.#tier.invalidate(this.#firstKey, () => {});
  }

  /** The request is over. `vary`: of what it still stores; null: of nothing. */
  close(vary: readonly string[] | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pause?.();
    if (vary !== null) this.#request = new RememberedRequest(this.#request, this.#route.settings, vary);
  }

  /** What has no part for where a request goes is for those that go where their URL says. */
  #mayFind(vary: readonly string[]): boolean {
    return this.#request.elsewhere === null || vary.includes(ELSEWHERE);
  }

  #parts(vary: readonly string[]): string {
    return secondKey('', '', this.#route.settings.key, vary, this.#request);
  }
}
