/**
 * What a worker knows of the log of purges in Redis. Each object there carries the id of the latest purge when its
 * fetch began; it holds as long as no later one means it. Every read asks Redis for the latest id, so a purge counts
 * from the moment that Redis has it.
 */
import { PURGES_KEPT, type PurgeRecord } from '../../contract/cache-tier.ts';

export class PurgeMirror {
  /** Id of the latest purge that is known. */
  latest = 0;
  /** What is older than this may have missed purges that the log no longer has. */
  #floor = 0;
  readonly #records: PurgeRecord[] = [];

  /** All purges after `latest`, in their order. */
  learn(records: readonly PurgeRecord[]): void {
    // The log is cut at this length, so there may have been more.
    if (records.length >= PURGES_KEPT) this.#floor = Math.max(this.#floor, records[0]!.id);
    for (const record of records) {
      if (record.id <= this.latest) continue;
      this.latest = record.id;
      this.#records.push(record);
    }
    const excess = this.#records.length - PURGES_KEPT;
    if (excess <= 0) return;
    this.#floor = Math.max(this.#floor, this.#records[excess - 1]!.id);
    this.#records.splice(0, excess);
  }

  /** `sequence`: that of the object; `key`: its first key, which begins with the URL. */
  isPurged(sequence: number, key: string, tags: readonly string[]): boolean {
    if (sequence >= this.latest) return false;
    if (sequence < this.#floor) return true;
    for (let i = this.#records.length - 1; i >= 0; i--) {
      const { id, kind, text } = this.#records[i]!;
      if (id <= sequence) return false;
      if (kind === 'all' || (kind === 'tag' && tags.includes(text))) return true;
      if (kind === 'prefix' ? key.startsWith(text) : kind === 'key' && key === text) return true;
    }
    return false;
  }
}
