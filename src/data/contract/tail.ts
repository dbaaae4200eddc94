/**
 * The live tail: what control asks the workers for while requests are watched, and what they send. Records are
 * lines of the access log, so that both leave out the same things.
 */

/** Topic on which a `TailOrder` is published, or null without a watcher. */
export const TAIL_TOPIC = 'admin:tail';
/** Topic on which workers tell `TailLines`. */
export const TAIL_LINES_TOPIC = 'admin:tail-lines';

/** Which requests one watcher wants to see. */
export interface TailFilter {
  /** Id of a route; null is any, and what no route took. */
  readonly route: string | null;
  readonly leastStatus: number;
  readonly mostStatus: number;
  /** What the record has somewhere, as JSON writes it; null is anything. */
  readonly text: string | null;
}

export interface TailOrder {
  /** A record that one of them wants is sent. */
  readonly filters: readonly TailFilter[];
  /** The most records that one worker sends a second; the others are counted. */
  readonly perSecond: number;
}

export interface TailLines {
  /** Whole lines. */
  readonly lines: Uint8Array;
  /** How many records were wanted and not sent, since the last time. */
  readonly dropped: number;
}

/** The part of a filter that needs no record. */
export function isWanted({ route, leastStatus, mostStatus }: TailFilter, routeId: string, status: number): boolean {
  return status >= leastStatus && status <= mostStatus && (route === null || route === routeId);
}
