/**
 * Constant load from callers that measure: each has one kept connection, asks at a steady pace, and checks that what it
 * gets is the answer to what it asked. GET, PUT (idempotent, with a body) and POST are told apart, because they are
 * promised different things. What is counted is what the callers saw, not what the gateway says of itself.
 */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:http';
import type { JournalEntry } from './fleet.ts';
import { until } from './until.ts';

const METHODS = ['GET', 'PUT', 'POST'] as const;
export type LoadMethod = (typeof METHODS)[number];

/** No answer at all for this long is a loss. */
const GIVE_UP_MS = 10_000;
const BODY = 'x'.repeat(100);

export interface LoadOptions {
  /** Callers for each method. Default 6 GET, 2 PUT, 4 POST. */
  readonly callers?: Readonly<Partial<Record<LoadMethod, number>>>;
  /**
   * Each caller begins a request so often on average, or as soon as the last one has ended; 0 is as fast as it goes.
   * Default 20.
   */
  readonly everyMs?: number;
  /** Default `/w`. */
  readonly path?: string;
}

/** Of the last request; one row of numbers for all loads, since their instances may have one journal. */
let number = 0;

/** What the callers of one method saw. */
export class Tally {
  requests = 0;
  ok = 0;
  /** Everything that was not the right answer, by what it was: `502 upstream_reset`, `ECONNRESET`, `wrong ...`. */
  readonly others = new Map<string, number>();
  readonly byInstance = new Map<string, number>();
  /** Longest time in which no caller got a right answer. */
  longestGapMs = 0;
  /** Of all requests, in the order in which they ended. */
  readonly latenciesMs: number[] = [];
  #lastOkMs = performance.now();

  get lost(): number {
    return this.requests - this.ok;
  }

  answered(instance: string): number {
    return this.byInstance.get(instance) ?? 0;
  }

  count(outcome: { readonly instance: string } | { readonly other: string }, tookMs: number): void {
    this.requests++;
    this.latenciesMs.push(tookMs);
    if ('other' in outcome) {
      this.others.set(outcome.other, (this.others.get(outcome.other) ?? 0) + 1);
      return;
    }
    this.ok++;
    this.byInstance.set(outcome.instance, this.answered(outcome.instance) + 1);
    this.noteGap();
    this.#lastOkMs = performance.now();
  }

  noteGap(): void {
    this.longestGapMs = Math.max(this.longestGapMs, performance.now() - this.#lastOkMs);
  }

  describe(): string {
    const others = [...this.others].map(([what, count]) => `${count} x ${what}`);
    const lost = this.lost === 0 ? '0 lost' : `${this.lost} lost (${others.join(', ')})`;
    return `${this.requests} requests, ${lost}, longest gap ${Math.round(this.longestGapMs)} ms`;
  }
}

export class Load {
  readonly GET = new Tally();
  readonly PUT = new Tally();
  readonly POST = new Tally();
  readonly #port: number;
  readonly #everyMs: number;
  readonly #path: string;
  /** Of the methods that have callers. */
  readonly #tallies: readonly Tally[];
  readonly #agents: Agent[] = [];
  readonly #callers: Promise<void>[] = [];
  #stopped = false;

  constructor(port: number, options: LoadOptions = {}) {
    this.#port = port;
    this.#everyMs = options.everyMs ?? 20;
    this.#path = options.path ?? '/w';
    const callers = { GET: 6, PUT: 2, POST: 4, ...options.callers };
    this.#tallies = METHODS.filter((method) => callers[method] > 0).map((method) => this[method]);
    for (const method of METHODS) {
      for (let i = 0; i < callers[method]; i++) this.#callers.push(this.#call(method));
    }
  }

  /** Until every method that has callers has had this many more answers, well or not. */
  async more(count: number): Promise<void> {
    const wanted = this.#tallies.map((tally) => ({ tally, requests: tally.requests + count }));
    await until(
      () => wanted.every(({ tally, requests }) => tally.requests >= requests),
      `${count} more answers`,
      9_000,
    );
  }

  /** Resolves when the last answer is there. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    for (const tally of this.#tallies) tally.noteGap();
    for (const agent of this.#agents) agent.destroy();
  }

  describe(): string {
    return METHODS.filter((method) => this[method].requests > 0)
      .map((method) => `${method}: ${this[method].describe()}`)
      .join('; ');
  }

  async #call(method: LoadMethod): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    this.#agents.push(agent);
    const tally = this[method];
    let nextMs = performance.now() + Math.random() * this.#everyMs;
    while (!this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextMs - performance.now())));
      const beganMs = performance.now();
      const outcome = await this.#ask(method, agent, `${this.#path}/${++number}`);
      tally.count(outcome, performance.now() - beganMs);
      // Callers do not march in step: where they always came in the same order, instances that are asked in turn would
      // each have the same callers for seconds, and one of them perhaps no GET at all.
      nextMs = Math.max(nextMs + this.#everyMs * (0.5 + Math.random()), performance.now() - this.#everyMs);
    }
  }

  #ask(method: LoadMethod, agent: Agent, path: string): Promise<{ instance: string } | { other: string }> {
    const body = method === 'GET' ? '' : `${path}-${BODY}`;
    return new Promise((resolve) => {
      const fail = (error: NodeJS.ErrnoException): void => resolve({ other: error.code ?? error.message });
      const asked = request(
        { port: this.#port, host: '127.0.0.1', method, path, agent, headers: { 'Content-Length': body.length } },
        (response) => {
          readText(response).then((text) => resolve(judge(response, text, `${method} ${path} ${body}`)), fail);
        },
      );
      asked.setTimeout(GIVE_UP_MS, () => asked.destroy(new Error(`no answer within ${GIVE_UP_MS} ms`)));
      asked.on('error', fail);
      asked.end(body);
    });
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of response) text += String(part);
  return text;
}

/**
 * Right: 200 and the echo of this very request. Honest: a fault of the gateway, or an instance's own 500 with its echo.
 */
function judge(response: IncomingMessage, text: string, asked: string): { instance: string } | { other: string } {
  const { statusCode = 0, headers } = response;
  const space = text.indexOf(' ');
  if (text.slice(space + 1) === asked) {
    return statusCode === 200 ? { instance: text.slice(0, space) } : { other: `${statusCode} of the instance` };
  }
  if (headers['content-type'] === 'application/problem+json' && statusCode >= 500) {
    const { reason, status } = JSON.parse(text) as { reason?: string; status?: number };
    if (status === statusCode) return { other: `${statusCode} ${reason}` };
  }
  return { other: `wrong: ${statusCode} ${JSON.stringify(text.slice(0, 80))}` };
}

/** Idempotent traffic lost nothing; the rest saw only 502, 503 and 504 of the gateway, and `alsoHonest`. */
export function assertHonest(load: Load, alsoHonest: readonly string[] = []): void {
  assert.deepEqual(Object.fromEntries(load.GET.others), {}, 'every GET is answered well');
  assert.deepEqual(Object.fromEntries(load.PUT.others), {}, 'every PUT is answered well');
  const dishonest = [...load.POST.others.keys()].filter(
    (what) => !/^50[234] [a-z_]+$/.test(what) && !alsoHonest.includes(what),
  );
  assert.deepEqual(dishonest, [], 'a POST is answered well or refused with a fault of the gateway');
}

/** No POST began twice anywhere: what was sent and may have had its effect was not sent again. */
export function assertOnce(journal: readonly JournalEntry[]): void {
  const seen = new Set<string>();
  const twice: string[] = [];
  for (const { method, url } of journal) {
    if (method !== 'POST') continue;
    if (seen.has(url)) twice.push(url);
    seen.add(url);
  }
  assert.deepEqual(twice, [], 'no POST reached instances twice');
}
