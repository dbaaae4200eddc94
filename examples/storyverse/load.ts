/**
 * What users see on an evening, and when a story goes round: `npx node examples/storyverse/load.ts [URL ...]
 * [--families 30] [--seconds 20] [--visitors 400]`, against the example or scaled.ts (both URLs). Families come more
 * and more densely, and each makes a bedtime story: sign in, text, keep it, picture, narration, read. Then visitors
 * come all at once, most of them without an account. Each has an address of its own (X-Forwarded-For, which the example
 * believes of this machine).
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: {
    families: { type: 'string', default: '30' },
    seconds: { type: 'string', default: '20' },
    visitors: { type: 'string', default: '400' },
  },
  allowPositionals: true,
});
const urls = positionals.length === 0 ? ['http://127.0.0.1:8000'] : positionals;
const run = randomBytes(4).toString('hex');
const PASSWORD = 'ancient walrus paints 9 fences';
const PROMPTS = [
  'a fox in a snowy garden',
  'a ship at night',
  'a giant and a bird',
  'three bears and a moon',
  'a swan',
];

type Seen = 'ok' | 'wait' | 'refused' | 'failed';

class Table {
  readonly #rows = new Map<string, { ms: number[]; seen: Record<Seen, number> }>();

  note(what: string, seen: Seen, ms: number): void {
    const row = this.#rows.get(what) ?? { ms: [], seen: { ok: 0, wait: 0, refused: 0, failed: 0 } };
    row.seen[seen]++;
    row.ms.push(ms);
    this.#rows.set(what, row);
  }

  print(): void {
    console.log(
      `  ${'what'.padEnd(22)}${['asked', 'ok', 'told to wait', 'refused', 'failed', 'half in', '95 % in', 'worst'].map((head) => head.padStart(13)).join('')}`,
    );
    for (const [what, { ms, seen }] of this.#rows) {
      const sorted = ms.toSorted((a, b) => a - b);
      const at = (share: number): string =>
        `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)} ms`;
      const cells = [ms.length, seen.ok, seen.wait, seen.refused, seen.failed, at(0.5), at(0.95), at(1)];
      console.log(`  ${what.padEnd(22)}${cells.map((cell) => String(cell).padStart(13)).join('')}`);
    }
  }
}

let people = 0;

class Person {
  readonly #table: Table;
  readonly #number = ++people;
  readonly #url = urls[people % urls.length]!;
  readonly name: string;
  #token = '';

  constructor(table: Table, name?: string) {
    this.#table = table;
    this.name = name ?? `load-${run}-${this.#number}`;
  }

  /** The same person, written down elsewhere. */
  at(table: Table): Person {
    return new Person(table, this.name);
  }

  /** Undefined unless it went well. A thrown connection is a failure that the user saw. */
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked into freely
  async ask(what: string, method: string, path: string, body?: unknown): Promise<any> {
    const started = performance.now();
    let seen: Seen = 'failed';
    try {
      const response = await fetch(this.#url + path, {
        method,
        headers: {
          'x-forwarded-for': `10.${(this.#number >> 16) & 255}.${(this.#number >> 8) & 255}.${this.#number & 255}`,
          ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(30_000),
      });
      const text = await response.text();
      seen = response.ok ? 'ok' : response.status === 429 ? 'wait' : response.status < 500 ? 'refused' : 'failed';
      if (!response.ok) return undefined;
      return /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : text;
    } catch {
      return undefined;
    } finally {
      this.#table.note(what, seen, performance.now() - started);
    }
  }

  async register(): Promise<boolean> {
    const account = { email: `${this.name}@example.com`, username: this.name, password: PASSWORD };
    const answer = await this.ask('register', 'POST', '/api/auth/register', account);
    this.#token = answer?.accessToken ?? '';
    return answer !== undefined;
  }

  async signIn(): Promise<boolean> {
    this.#token = '';
    const answer = await this.ask('sign in', 'POST', '/api/auth/login', { username: this.name, password: PASSWORD });
    this.#token = answer?.accessToken ?? '';
    return answer !== undefined;
  }

  /** Text, kept, drawn, read aloud, read again: true when nothing was missing. */
  async bedtimeStory(): Promise<boolean> {
    if (!(await this.signIn())) return false;
    const prompt = PROMPTS[this.#number % PROMPTS.length];
    const told = await this.ask('generate text', 'POST', '/api/generate/text', { prompt, words: 120 });
    if (told === undefined) return false;
    const { title, text } = told as { title: string; text: string };
    const kept = await this.ask('keep the story', 'POST', '/api/stories', { title, text });
    const picture = await this.ask('generate picture', 'POST', '/api/generate/image', { title, text });
    const sound = await this.ask('generate narration', 'POST', '/api/generate/audio', { text: text.slice(0, 400) });
    const read = kept && (await this.ask('read the story', 'GET', `/api/stories/${kept.id}`));
    return [kept, picture, sound, read].every((part) => part !== undefined);
  }
}

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function evening(count: number, seconds: number): Promise<Person[]> {
  console.log(`\nBefore: ${count} families register.\n`);
  const before = new Table();
  const families = Array.from({ length: count }, () => new Person(before));
  for (let i = 0; i < count; i += 4) await Promise.all(families.slice(i, i + 4).map((family) => family.register()));
  before.print();

  console.log(`\nEvening: the same families, each for a bedtime story, ever more of them within ${seconds} s.\n`);
  const table = new Table();
  const stories = await Promise.all(
    families.map(async (family, i) => {
      // The square root makes arrivals denser towards the end: seven o'clock, half past, eight.
      await later(Math.sqrt(i / count) * seconds * 1_000);
      return family.at(table).bedtimeStory();
    }),
  );
  table.print();
  console.log(`\n  ${stories.filter(Boolean).length} of ${count} families had their story with picture and narration.`);
  return families;
}

async function spike(families: readonly Person[], visitors: number): Promise<void> {
  console.log(`\nA story goes round: ${visitors} visitors at once, while families read on.\n`);
  const table = new Table();
  const readers = families.slice(0, 10).map((family) => family.at(table));
  for (const reader of readers) await reader.signIn();
  let isOver = false;
  const reading = readers.map(async (reader) => {
    while (!isOver) {
      await reader.ask('families: their list', 'GET', '/api/stories?limit=1');
      await later(1_500);
    }
  });
  await Promise.all(
    Array.from({ length: visitors }, async (_, i) => {
      const visitor = new Person(table);
      await later(Math.random() * 2_000);
      await visitor.ask('visitors: the page', 'GET', '/docs');
      await visitor.ask('visitors: the story', 'GET', '/api/stories/00000000-0000-4000-8000-000000000000');
      if (i % 10 === 0) await visitor.register();
    }),
  );
  const crowd = new Person(table);
  await Promise.all(Array.from({ length: 900 }, () => crowd.ask('one address, 900 times', 'GET', '/docs')));
  isOver = true;
  await Promise.all(reading);
  table.print();
  console.log(
    '\n  The story needs an account, so visitors without one are refused (401). One address that asks 900 times is told',
  );
  console.log('  to wait and, if it goes on, banned for a while; families are not touched by that.\n');
}

console.log(`Against ${urls.join(' and ')}; ${new Date().toISOString()}`);
await spike(await evening(Number(values.families), Number(values.seconds)), Number(values.visitors));
