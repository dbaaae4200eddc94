/**
 * A connection of its own that hears the notifications of one channel (PostgreSQL LISTEN), and comes again by itself
 * when it is lost. What is notified meanwhile is lost with it, so `begins` says from when on it hears: whoever listens
 * looks for itself then, and from time to time while it does not hear.
 */
import { Client, escapeIdentifier } from 'pg';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Heard, Listening } from './store.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** A connection whose other end is gone without a word is noticed after so long. */
const ASK_EVERY_MS = 10_000;
const ANSWER_WITHIN_MS = 5_000;

export class PostgresListener implements Listening {
  isListening = false;
  readonly #url: string;
  readonly #channel: string;
  readonly #heard: Heard;
  readonly #log: Logger | undefined;
  #stopped = false;
  #wake: () => void = () => {};

  constructor(url: string, channel: string, heard: Heard, log: Logger | undefined) {
    this.#url = url;
    this.#channel = channel;
    this.#heard = heard;
    this.#log = log;
    void this.#run();
  }

  async #run(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#stopped) {
      const client = new Client({
        connectionString: this.#url,
        application_name: 'gatehouse-listener',
        connectionTimeoutMillis: ANSWER_WITHIN_MS,
        query_timeout: ANSWER_WITHIN_MS,
        keepAlive: true,
      });
      const lost = this.#lost(client);
      try {
        await client.connect();
        client.on('notification', ({ payload = '' }) => this.#heard.message(payload));
        await client.query(`LISTEN ${escapeIdentifier(this.#channel)}`);
        pauseMs = FIRST_PAUSE_MS;
        this.isListening = true;
        if (!this.#stopped) this.#heard.begins();
        const problem = await lost;
        if (!this.#stopped) this.#log?.warn('a connection that listens to the database broke', { problem });
      } catch {
        // The database is away: the store reports it, and this tries again.
      }
      this.isListening = false;
      this.#wake();
      // Nothing waits for its end: one whose other side is gone has none.
      client.end().catch(() => {});
      if (!this.#stopped) await this.#pause(pauseMs * (0.5 + Math.random() / 2));
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  /** Resolves when the connection is of no use any more, with the reason. */
  #lost(client: Client): Promise<string> {
    return new Promise((resolve) => {
      const end = (problem: string): void => {
        clearInterval(asking);
        resolve(problem);
      };
      const asking = setInterval(() => {
        if (this.isListening) client.query('select 1').catch((error: unknown) => end(messageOf(error)));
      }, ASK_EVERY_MS).unref();
      client.on('error', (error) => end(messageOf(error)));
      client.on('end', () => end('it was closed'));
      this.#wake = () => end('stopped');
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }
}
