/**
 * The contract of event engines: what keeps the events of a stream, in an order, for a while. The embedded engine keeps
 * them in the SQL store; a client of a broker would be another. One shared suite (engine.suite.ts) holds engines to it.
 *
 * Positions are decimal numbers, or two of them joined by `-`, and grow with each event of a stream. They say nothing
 * about how many events lie between two of them.
 */

export interface NewEvent {
  readonly id: string;
  readonly subject: string;
  /** Events with the same key are delivered in their order. */
  readonly key: string;
  readonly contentType: string;
  /** CloudEvents attributes beside those above (`type`, `source`, `time`, `traceparent`, extensions). */
  readonly attributes: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
  /** Made of an Idempotency-Key: a second event with it must not be stored where the engine can tell. */
  readonly dedupeId: string | null;
}

export interface StoredEvent extends NewEvent {
  readonly position: string;
}

export interface Published {
  /** Null where the engine does not say (RabbitMQ). */
  readonly position: string | null;
  /** The engine had an event with this id already. */
  readonly duplicate: boolean;
}

export interface Page {
  readonly events: readonly StoredEvent[];
  /** Events between `after` and the first of this page are gone (retention), or `after` is ahead of the stream. */
  readonly hasGap: boolean;
}

export interface StreamSettings {
  readonly name: string;
  readonly engine: string;
  /** Patterns of which a subject must match one. */
  readonly subjects: readonly string[];
  readonly maxAgeMs: number;
  readonly maxEvents: number;
  readonly maxBytes: number;
}

export interface Tail {
  stop(): void;
}

export interface TailHandler {
  /** In order, each event once; again only after the engine lost its connection and cannot know. */
  onEvents(events: readonly StoredEvent[]): void;
  /** Events were lost while the engine was away; what comes next is not the one after the last. */
  onGap(): void;
}

export interface EventEngine {
  /** Makes the streams that are missing. Resolves also when the engine is away: it then connects as soon as it can. */
  start(streams: readonly StreamSettings[]): Promise<void>;
  /** Null while the engine can be used; otherwise what is wrong, without secrets. */
  readonly problem: string | null;
  /** Resolves once the event is durable. Rejects with an `EngineFault`, also when that takes longer. */
  publish(stream: string, event: NewEvent, withinMs: number): Promise<Published>;
  /** Events after a position (null: from the oldest kept), at most `limit`; none at the end of the stream. */
  read(stream: string, after: string | null, limit: number): Promise<Page>;
  /** Position of the newest event, or one behind it that is no event's; null for an empty stream. */
  latest(stream: string): Promise<string | null>;
  /** What comes after a position, as it comes, until it is stopped. Outlives the engine's being away. */
  tail(stream: string, after: string | null, handler: TailHandler): Tail;
  /** Removes what is too old, where the engine does not by itself. */
  clean?(): Promise<void>;
  stop(): Promise<void>;
}

export type EngineFaultKind = 'unavailable' | 'full' | 'too-large' | 'unroutable';

/** Why an engine did not do something. The message says what happened, without secrets. */
export class EngineFault extends Error {
  readonly kind: EngineFaultKind;

  constructor(kind: EngineFaultKind, message: string) {
    super(message);
    this.name = 'EngineFault';
    this.kind = kind;
  }
}

/** What it gives, or a fault when that takes longer. An `AbortSignal` for each would cost five times as much. */
export function within<Result>(asked: Promise<Result>, ms: number): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new EngineFault('unavailable', 'it was not acknowledged in time')), ms);
    const settle = <Value>(end: (value: Value) => void) => {
      return (value: Value): void => {
        clearTimeout(timer);
        end(value);
      };
    };
    asked.then(settle(resolve), settle(reject));
  });
}

/** Which of two positions is the later one: below 0, 0 or above 0. */
export function comparePositions(a: string, b: string): number {
  if (a === b) return 0;
  // As long as each other, part by part: the order of texts is that of numbers.
  if (a.length === b.length && a.indexOf('-') === b.indexOf('-')) return a < b ? -1 : 1;
  const [aMain = '', aRest = '0'] = a.split('-');
  const [bMain = '', bRest = '0'] = b.split('-');
  return compareDecimals(aMain, bMain) || compareDecimals(aRest, bRest);
}

function compareDecimals(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** One behind which the first event is that of a position; null: that one is the least there is. */
export function positionBefore(position: string): string | null {
  const [main = '', rest] = position.split('-');
  if (rest === undefined) return BigInt(main) === 0n ? null : String(BigInt(main) - 1n);
  if (BigInt(rest) > 0n) return `${main}-${BigInt(rest) - 1n}`;
  return BigInt(main) === 0n ? null : `${BigInt(main) - 1n}-${LAST_OF_A_MILLISECOND}`;
}

/** Of Redis, whose positions are milliseconds and a number of 64 bits. */
const LAST_OF_A_MILLISECOND = '18446744073709551615';

export function isPosition(text: string): boolean {
  return /^\d{1,20}(-\d{1,20})?$/.test(text);
}
