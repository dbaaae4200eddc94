/**
 * Tickets between the planes: who a caller is, for a moment and once, for what a browser opens and can set no field on.
 * A worker has one made by a route with `ticket` (data/actions/ticket.ts), and takes one out of a query
 * (data/auth/methods/ticket.ts); control keeps them (control/tickets/).
 */
import type { Identity } from './policy.ts';

/** An ask with `IssueQuestion`, answered with the ticket, or null: the account has too many. */
export const TICKET_ISSUE_TOPIC = 'tickets:issue';
/**
 * An ask with `TakeQuestion`, answered with `TicketHolder`, or null: used, too old, never made, or for other routes.
 */
export const TICKET_TAKE_TOPIC = 'tickets:take';

/** A worker waits for an answer this long. */
export const TICKET_WITHIN_MS = 2_000;

/** Who gets in with a ticket: the identity that its caller had. */
export interface TicketHolder {
  readonly facts: Pick<Identity, 'method' | 'subject' | 'issuer' | 'roles' | 'scopes' | 'plan'>;
  readonly claims: Readonly<Record<string, unknown>>;
  /** See `Identity`. */
  readonly isNameless: boolean;
  /** When the credential ends that the caller had; milliseconds since 1970, null: not by itself. */
  readonly endsAtMs: number | null;
}

export interface IssueQuestion {
  readonly holder: TicketHolder;
  readonly account: string;
  /** Stands for the ways to authenticate that the caller came by: only routes with the same ones take the ticket. */
  readonly methods: string;
  readonly ttlMs: number;
}

export interface TakeQuestion {
  readonly ticket: string;
  readonly methods: string;
}
