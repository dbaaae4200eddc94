/**
 * What one page of the console shows, over one stream: traffic as it comes, and what the page reads of this API, read
 * again every few seconds and sent where it changed. Each reading is a request like any other, with the credentials of
 * the stream: it needs the same role, and the stream ends when they do. Behind the gateway's `auth` these are what
 * `auth` said when the stream was opened: a role that is taken away holds until the credential ends.
 */
import * as z from 'zod';
import type { Fetch } from '../local-server.ts';
import { AdminError, eventStream, type Kit, operation, type SendEvent, unescaped } from './kit.ts';
import { type Recorder, SAMPLE_MS } from './recorder.ts';

const PATH = '/page/stream';
const MOST_READS = 8;
/** Sent again though nothing changed: somebody may show what another request of theirs said meanwhile. */
const AGAIN_MS = 10_000;

const query = z.object({
  read: z
    .preprocess(
      (given) => (typeof given === 'string' ? [given] : given),
      z
        .array(
          z
            .string()
            .max(2_000)
            .regex(/^\/(?!\/)[\x21-\x7e]*$/, 'a path of this API, such as /status?brief=true'),
        )
        .max(MOST_READS),
    )
    .prefault([])
    .describe(
      `Paths of this API that respond with JSON, such as \`/services?q=notes\`, at most ${MOST_READS}; without one, \`/me\`.`,
    ),
  every: z.coerce.number().int().min(2).max(60).prefault(2).describe('Seconds between two readings.'),
  after: z.coerce.number().min(0).optional().describe('Sends the points of traffic after this Unix time first.'),
});

/** `fetch`: the whole application, in which the API has its place. */
export function pageRoutes(kit: Kit, recorder: Recorder, fetch: Fetch): void {
  operation(
    kit,
    {
      method: 'get',
      path: PATH,
      tag: 'gateway',
      summary:
        'All that one page shows, as it changes: server-sent events named `point` (as `/traffic/stream` has them), `points` (a list of them, once) and `read` (`path`, `status` and `body` of a reading that is another one than before)',
      role: 'viewer',
      query,
      mediaType: 'text/event-stream',
      response: z.string(),
    },
    ({ query: { read, every, after }, context }) => {
      const { raw } = context.req;
      // Without a reading nothing would notice that the credentials are good no more.
      const readers = (read.length === 0 ? ['/me'] : read).map((path) => new Reading(raw, path, fetch));
      return eventStream((send, end) => {
        if (after !== undefined) send('points', { points: recorder.points().filter(({ at }) => at > after) });
        const rounds = new Rounds(readers, send, end);
        const points = Math.max(1, Math.round((every * 1_000) / SAMPLE_MS));
        let left = points;
        const unfollow = recorder.follow((point) => {
          send('point', point);
          if (--left > 0) return;
          left = points;
          void rounds.next();
        });
        void rounds.next();
        return () => {
          unfollow();
          rounds.stop();
        };
      });
    },
  );
}

/** One path, and what was sent of it last. */
class Reading {
  readonly path: string;
  readonly #request: Request;
  readonly #fetch: Fetch;
  #sent = '';
  #sentMs = 0;

  constructor(stream: Request, path: string, fetch: Fetch) {
    const url = new URL(stream.url);
    const base = url.pathname.slice(0, -PATH.length);
    const wanted = new URL(`${base}${path}`, url);
    // Dots in a path climb, also spelled with escapes.
    const isWithin = wanted.pathname.startsWith(`${base}/`) && url.pathname.endsWith(PATH);
    if (!isWithin || /\/stream\/?$/.test(unescaped(wanted.pathname))) {
      const fields = [{ field: 'read', got: path, expected: 'a path of this API that responds with JSON' }];
      throw new AdminError(400, 'VALIDATION_ERROR', 'the request is not valid', { fields });
    }
    this.path = path;
    this.#request = new Request(wanted, { headers: stream.headers });
    this.#fetch = fetch;
  }

  /** Sends it if it is another one than before. False: the credentials are good no more. */
  async next(send: SendEvent): Promise<boolean> {
    const response = await this.#fetch(this.#request.clone());
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    if (!isJson) await response.body?.cancel();
    const status = isJson ? response.status : 406;
    const body = isJson ? await oneLine(response) : NO_JSON;
    const text = `{"path":${JSON.stringify(this.path)},"status":${status},"body":${body}}`;
    const nowMs = performance.now();
    if (text !== this.#sent || nowMs - this.#sentMs >= AGAIN_MS) {
      // What a slow reader lost is sent again next time.
      this.#sent = send('read', text) ? text : '';
      this.#sentMs = nowMs;
    }
    return status !== 401;
  }
}

const NO_JSON = '{"message":"it responds with no JSON"}';

/** JSON without line breaks, which would end the event's data; nearly all is, and need not be read. */
async function oneLine(response: Response): Promise<string> {
  const text = await response.text();
  return /[\r\n]/.test(text) ? JSON.stringify(JSON.parse(text)) : text;
}

/** Readings of all paths, one after the other; a round that takes longer than the time between two is waited for. */
class Rounds {
  readonly #readings: readonly Reading[];
  readonly #send: SendEvent;
  readonly #end: () => void;
  #isReading = false;
  #isOver = false;

  constructor(readings: readonly Reading[], send: SendEvent, end: () => void) {
    this.#readings = readings;
    this.#send = send;
    this.#end = end;
  }

  stop(): void {
    this.#isOver = true;
  }

  async next(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      for (const reading of this.#readings) {
        if (this.#isOver) return;
        if (await reading.next(this.#send)) continue;
        this.#end();
        return;
      }
    } catch {
      // The application reports what went wrong in it; whoever reads connects again.
      this.#end();
    } finally {
      this.#isReading = false;
    }
  }
}
