/** Where tickets are kept until they are used: by their hash, so that who reads the store can use none. */
import { hash } from 'node:crypto';
import type { TicketHolder } from '../../data/contract/tickets.ts';

/** Unused tickets of one account, at most: the store is everybody's. */
export const MOST_OF_ACCOUNT = 1_000;

export interface KeptTicket {
  readonly holder: TicketHolder;
  /** See `IssueQuestion`. */
  readonly methods: string;
}

export interface TicketStore {
  /** False: the account has too many. */
  put(hash: string, ticket: KeptTicket, account: string, ttlMs: number): Promise<boolean>;
  /** Gives it once, over all gateways; null for one that was used, is too old or never was. */
  take(hash: string): Promise<KeptTicket | null>;
  /** Forgets what is too old, where the store does not do so by itself. */
  clean(): Promise<void>;
  close(): Promise<void>;
}

export function hashOf(text: string): string {
  return hash('sha256', text, 'base64url');
}
