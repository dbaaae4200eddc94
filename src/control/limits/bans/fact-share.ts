/**
 * Bans that the nodes of a cluster share through its store (control/facts.ts), where there is no Redis: each node keeps
 * its own book, tells the others of what it bans and lifts, and learns all that holds when it joins. While the store is
 * away each goes on with what it knows. How long a ban lasts goes by the clock of the store, not by that of the node
 * that made it.
 */
import type { Logger } from '../../../base/log.ts';
import type { Fact, Facts } from '../../facts.ts';
import { readBan } from './ban-text.ts';
import type { Ban, BanBook, BanShare } from './bans.ts';

const BAN_FACT = 'ban';
/** Bans without end, and what became of them; a node tells those that it still has again when it joins. */
const ENDLESS_KEPT_MS = 90 * 86_400_000;

export class FactBanShare implements BanShare {
  readonly #facts: Facts;
  readonly #bans: BanBook;
  readonly #log: Logger;
  /** Ids that the store is known to have. */
  readonly #known = new Set<string>();

  /** `isUsed`: not where Redis carries them. */
  constructor(facts: Facts, bans: BanBook, log: Logger, isUsed: () => boolean) {
    this.#facts = facts;
    this.#bans = bans;
    this.#log = log;
    facts.hear(BAN_FACT, {
      learn: (fact) => {
        if (isUsed()) this.#learn(fact);
      },
      caughtUp: () => {
        if (isUsed()) this.#tellRest();
      },
      missed: () => this.#known.clear(),
    });
  }

  made(ban: Ban): void {
    this.#tell(ban);
  }

  lifted(ban: Ban): void {
    this.#tell(ban);
  }

  #tell(ban: Ban): void {
    const lastsMs = ban.endsAtMs === null ? null : Math.max(0, ban.endsAtMs - Date.now());
    this.#known.add(ban.id);
    void this.#facts.tell(BAN_FACT, ban.id, { ...ban, lastsMs }, lastsMs ?? ENDLESS_KEPT_MS);
  }

  #tellRest(): void {
    const active = this.#bans.active();
    const ids = new Set(active.map(({ id }) => id));
    for (const id of this.#known) if (!ids.has(id)) this.#known.delete(id);
    for (const ban of active) if (!this.#known.has(ban.id)) this.#tell(ban);
  }

  #learn({ value, ageMs }: Fact): void {
    const ban = readBan(value);
    if (ban === undefined) return;
    if (ban.liftedAtMs === null) this.#known.add(ban.id);
    const { lastsMs } = value as { lastsMs?: unknown };
    const endsAtMs = typeof lastsMs === 'number' ? Date.now() + lastsMs - ageMs : ban.endsAtMs;
    this.#bans.learn({ ...ban, endsAtMs }).catch((error: unknown) => {
      this.#log.warn('a ban of another node could not be kept', { reason: String(error) });
    });
  }
}
