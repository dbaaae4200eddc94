/**
 * The second tier in one fetch: asks Redis before the service is asked, and writes there what the fetch has stored in
 * memory. What it needs of the request it reads while the request is there.
 */
import type { CachedRoute } from '../cached-route.ts';
import { hasParts, type KeyRequest, secondKey } from '../keys.ts';
import { RememberedRequest } from '../remembered-request.ts';
import { hasValidator } from '../rules/storing.ts';
import { varyNames } from '../rules/vary.ts';
import { Reader } from '../store/reader.ts';
import type { Entry } from '../store/store.ts';
import { readStored, tagNames } from '../stored-head.ts';
import type { RedisTier, TierTicket } from './redis-tier.ts';
import { keptMs, objectValue, type TierObject } from './tier-value.ts';

export class TierFill {
  readonly #tier: RedisTier;
  readonly #route: CachedRoute;
  #request: KeyRequest & { knows?(name: string): boolean };
  readonly #firstKey: string;
  /** Null: not asked, not answered yet, or away; then nothing is written either. */
  #ticket: TierTicket | null = null;
  #isOver = false;

  constructor(tier: RedisTier, route: CachedRoute, request: KeyRequest, firstKey: string) {
    this.#tier = tier;
    this.#route = route;
    this.#request = request;
    this.#firstKey = firstKey;
  }

  /** False: Redis cannot be asked now. Otherwise `done` is called once, later, unless this is closed before. */
  read(done: (object: TierObject | null) => void): boolean {
    const { counts, cache, settings } = this.#route;
    const isAsked = this.#tier.read(
      this.#firstKey,
      hasParts(settings.key),
      // Nobody takes what comes after the request is over, so any key will do.
      (vary) => (this.#isOver ? '' : this.#parts(vary)),
      (head) => tagNames(readStored(head, cache.otherHead)),
      (result, ticket, object) => {
        counts.tierRead(result);
        this.#ticket = ticket;
        if (!this.#isOver) done(object);
      },
    );
    if (!isAsked) counts.tierRead('away');
    return isAsked;
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
      return;
    }
    const head = reader.head();
    const fields = readStored(head, cache.otherHead);
    const kept = keptMs(reader.terms, hasValidator(fields), cache.clock.wallMs());
    const names = [...new Set([...(ticket.version.vary ?? []), ...varyNames(fields.valueOf('vary'))])].sort();
    const needsMarker = ticket.version.vary !== null || names.length > 0 || hasParts(settings.key);
    const knowsAll = names.every((name) => this.#request.knows?.(name) ?? true);
    const { bodyBytes } = reader;
    const value = objectValue(reader.terms, ticket.sequence, head, bodyBytes, (target, at) =>
      reader.read(target, at, bodyBytes),
    );
    reader.close();
    if (kept === 0 || !knowsAll) return;
    const parts = needsMarker ? this.#parts(names) : null;
    void this.#tier
      .write({ firstKey: this.#firstKey, ticket, names, parts, value, keptMs: kept })
      .then((result) => counts.tierWrite(result));
  }

  /** What is stored there is out of date, and what is true now may not be stored. */
  forget(): void {
    if (this.#ticket !== null && this.#ticket.version.seen !== '') this.#tier.invalidate(this.#firstKey, () => {});
  }

  /** The request is over. `vary`: of what it still stores; null: of nothing. */
  close(vary: readonly string[] | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (vary !== null) this.#request = new RememberedRequest(this.#request, this.#route.settings, vary);
  }

  #parts(vary: readonly string[]): string {
    return secondKey('', '', this.#route.settings.key, vary, this.#request);
  }
}
