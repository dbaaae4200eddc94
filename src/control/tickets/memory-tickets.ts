/** Tickets in the memory of this process: for one gateway without a store. */
import { type KeptTicket, MOST_OF_ACCOUNT, type TicketStore } from './ticket-store.ts';

/** Of all accounts together: with tokens of some hundred bytes, 100 MB at the very worst. */
const MOST_OF_ALL = 100_000;

interface Entry {
  readonly ticket: KeptTicket;
  readonly account: string;
  readonly endsMs: number;
}

export class MemoryTickets implements TicketStore {
  readonly #entries = new Map<string, Entry>();
  readonly #counts = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  async put(hash: string, ticket: KeptTicket, account: string, ttlMs: number): Promise<boolean> {
    if ((this.#counts.get(account) ?? 0) >= MOST_OF_ACCOUNT || this.size >= MOST_OF_ALL) await this.clean();
    const count = this.#counts.get(account) ?? 0;
    if (this.size >= MOST_OF_ALL) throw new Error('there are too many tickets');
    if (count >= MOST_OF_ACCOUNT) return false;
    this.#entries.set(hash, { ticket, account, endsMs: this.#nowMs() + ttlMs });
    this.#counts.set(account, count + 1);
    return true;
  }

  async take(hash: string): Promise<KeptTicket | null> {
    const entry = this.#entries.get(hash);
    if (entry === undefined) return null;
    this.#remove(hash, entry);
    return entry.endsMs > this.#nowMs() ? entry.ticket : null;
  }

  async clean(): Promise<void> {
    const nowMs = this.#nowMs();
    for (const [hash, entry] of this.#entries) if (entry.endsMs <= nowMs) this.#remove(hash, entry);
  }

  async close(): Promise<void> {}

  #remove(hash: string, { account }: Entry): void {
    this.#entries.delete(hash);
    const count = (this.#counts.get(account) ?? 1) - 1;
    if (count === 0) this.#counts.delete(account);
    else this.#counts.set(account, count);
  }
}
