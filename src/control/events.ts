/**
 * The last lines of the process log, kept in memory for the admin API and the console, with listeners for those who
 * follow: an instance that was ejected, a breaker that opened, a reload, an override. What is logged holds no secret,
 * so what is shown holds none. Lines come from the main thread and from the workers. Owner: primary.ts.
 */
import type { LogFields, Logger } from '../base/log.ts';
import { LOG_LEVELS } from '../base/log.ts';

export interface LoggedEvent {
  /** Counts up; a client that comes back asks for what came after the last one that it has. */
  readonly id: number;
  readonly time: string;
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

const MOST_EVENTS = 1_000;
const LONGEST_LINE = 8_192;

/** A logger that also records what it logs from level `info` on. */
export function recorded(log: Logger, events: Events, bound: LogFields = {}): Logger {
  const pass =
    (level: 'info' | 'warn' | 'error') =>
    (message: string, fields?: LogFields): void => {
      log[level](message, fields);
      if (LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(log.level))
        events.record({ time: new Date().toISOString(), level, message, ...bound, ...fields });
    };
  return {
    get level() {
      return log.level;
    },
    debug: (message, fields) => log.debug(message, fields),
    info: pass('info'),
    warn: pass('warn'),
    error: pass('error'),
    child: (fields) => recorded(log.child(fields), events, { ...bound, ...fields }),
  };
}

export class Events {
  #events: LoggedEvent[] = [];
  #lastId = 0;
  readonly #listeners = new Set<(event: LoggedEvent) => void>();

  /** A finished line of the log. Anything else is left out. */
  add(line: string): void {
    if (line.length > LONGEST_LINE) return;
    let fields: unknown;
    try {
      fields = JSON.parse(line);
    } catch {
      return;
    }
    if (typeof fields === 'object' && fields !== null) this.record(fields);
  }

  record(fields: object): void {
    const event = { ...fields, id: ++this.#lastId } as LoggedEvent;
    this.#events.push(event);
    if (this.#events.length > MOST_EVENTS) this.#events = this.#events.slice(-MOST_EVENTS / 2);
    for (const listener of this.#listeners) listener(event);
  }

  /** Newest last. */
  after(id: number): readonly LoggedEvent[] {
    return this.#events.filter((event) => event.id > id);
  }

  /** Returns what ends it. */
  follow(listener: (event: LoggedEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
