/** Tickets in the memory of this process: for one gateway without a store. */
import { type KeptTicket, MOST_OF_ACCOUNT, type TicketStore } from './ticket-store.ts';

/** Of all accounts together; a ticket holds what the caller's token says, which are some hundred bytes. */
const MOST_CHARACTERS = 64 * 1024 ** 2;
/** To look through all of them takes milliseconds. */
const CLEAN_EVERY_MS = 1_000;

interface Entry {
  /** JSON. */
  readonly ticket: string;
  readonly account: string;
  readonly endsMs: number;
}

export class MemoryTickets implements TicketStore {
  readonly #entries = new Map<string, Entry>();
  readonly #counts = new Map<string, number>();
  readonly #nowMs: () => number;
  #characters = 0;
  #cleanedMs = Number.NEGATIVE_INFINITY;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  async put(hash: string, ticket: KeptTicket, account: string, ttlMs: number): Promise<boolean> {
    const text = JSON.stringify(ticket);
    const isFull = (): boolean => this.#characters + text.length > MOST_CHARACTERS;
    const hasTooMany = (): boolean => (this.#counts.get(account) ?? 0) >= MOST_OF_ACCOUNT;
    const nowMs = this.#nowMs();
    if ((isFull() || hasTooMany()) && nowMs - this.#cleanedMs >= CLEAN_EVERY_MS) await this.clean();
    if (isFull()) throw new Error('there are too many tickets');
    if (hasTooMany()) return false;
    this.#entries.set(hash, { ticket: text, account, endsMs: nowMs + ttlMs });
    this.#counts.set(account, (this.#counts.get(account) ?? 0) + 1);
    this.#characters += text.length;
    return true;
  }

  async take(hash: string): Promise<KeptTicket | null> {
    const entry = this.#entries.get(hash);
    if (entry === undefined) return null;
    this.#remove(hash, entry);
    return entry.endsMs > this.#nowMs() ? (JSON.parse(entry.ticket) as KeptTicket) : null;
  }

  async clean(): Promise<void> {
    const nowMs = this.#nowMs();
    this.#cleanedMs = nowMs;
    for (const [hash, entry] of this.#entries) if (entry.endsMs <= nowMs) this.#remove(hash, entry);
  }

  async close(): Promise<void> {}

  #remove(hash: string, { account, ticket }: Entry): void {
    this.#entries.delete(hash);
    this.#characters -= ticket.length;
    const count = (this.#counts.get(account) ?? 1) - 1;
    if (count === 0) this.#counts.delete(account);
    else this.#counts.set(account, count);
  }
}
