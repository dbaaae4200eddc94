/**
 * Where security events of the whole process come together: those of the workers, of accounts, bans and the admin API.
 * Their sources call `tell`; the feature beside this writes the lines. Costs nothing without a listener.
 * Owner: primary.ts.
 */
import type { SecurityEvent, SecurityValue } from '../data/contract/security-events.ts';

export type TellSecurity = (event: string, fields: Readonly<Record<string, SecurityValue>>) => void;

export class SecurityJournal {
  readonly #now: () => number;
  #listener: ((event: SecurityEvent) => void) | null = null;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  readonly tell: TellSecurity = (event, fields) => this.#listener?.({ event, atMs: this.#now(), fields });

  /** One listens; null ends it. */
  listen(listener: ((event: SecurityEvent) => void) | null): void {
    this.#listener = listener;
  }
}
