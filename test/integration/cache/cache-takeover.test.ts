/**
 * A response that several wait for when what fetches it is gone in the middle: the client that asked, the connection to
 * the service, the worker. Those who have begun to get it get all of it, byte for byte, or see that it broke off.
 */
import assert from 'node:assert/strict';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { before, beforeEach, describe, test } from 'node:test';
import { BEFORE, LOCK } from '../../../src/data/cache/store/layout.ts';
import { CacheStore } from '../../../src/data/cache/store/store.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type Scope, suiteScope } from '../../support/scope.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const SOON_MS = 60_000;
const BODY = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
const FIRST = 50_000;
const ETAG = '"of this very body"';
const LENGTH = { 'Content-Length': BODY.length };

type Part = { readonly bytes: Buffer; readonly broke: boolean };

/** A client that reads as the bytes come. */
class Client {
  response: IncomingMessage | null = null;
  got: Buffer = Buffer.alloc(0);
  readonly #parts: Buffer[] = [];
  readonly over: Promise<Part>;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.over = new Promise((resolve) => {
      const end = (broke: boolean): void => resolve({ bytes: this.got, broke });
      const call = request(url, { agent: false, headers }, (response) => {
        this.response = response;
        response.on('data', (part: Buffer) => {
          this.#parts.push(part);
          this.got = Buffer.concat(this.#parts);
        });
        response.on('error', () => end(true)).on('end', () => end(false));
      });
      call.on('error', () => end(true)).end();
    });
  }

  async has(bytes: number): Promise<void> {
    await until(() => this.got.length >= bytes, `${bytes} bytes have come`, SOON_MS);
  }

  /** Without a word: one that ends its side alone may still read. */
  reset(): void {
    this.response!.socket.resetAndDestroy();
  }
}

interface Asked {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}

describe('what fetches is gone', () => {
  const scope = suiteScope();
  let url = '';
  let gateway: TestGateway;
  let asked: Asked[] = [];
  /** What the service does at once; otherwise the test answers. */
  let serve: ((asked: Asked, nth: number) => void) | null = null;
  let path = '';
  let tests = 0;

  before(async () => {
    const upstream = await httpUpstream(scope, (incoming, response) => {
      asked.push({ incoming, response });
      serve?.(asked.at(-1)!, asked.length);
    });
    url = upstream.url;
    gateway = await start(scope);
  });
  const start = (owner: Scope): Promise<TestGateway> =>
    startTestGateway(owner, {
      gateway: { workers: 3 },
      stores: { cacheMemory: '16mb' },
      services: { things: { instances: [{ url }], retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 'things', auth: 'public', cache: {} }],
    });
  beforeEach(() => {
    asked = [];
    serve = null;
    path = `${gateway.url}/${++tests}`;
  });

  /** One client that fetches and some that have begun to get the same. */
  async function begun(waiters: number, head: Record<string, string | number> = { ...LENGTH, ETag: ETAG }) {
    serve = ({ response }, nth) => {
      if (nth > 1) return;
      response.writeHead(200, { 'Cache-Control': 'max-age=600', ...head });
      response.write(BODY.subarray(0, FIRST));
    };
    const filler = new Client(path);
    await filler.has(FIRST);
    const others = Array.from({ length: waiters }, () => new Client(path));
    if ('Content-Length' in head) for (const each of others) await each.has(FIRST);
    assert.equal(asked.length, 1);
    return { filler, others, first: asked[0]!.response };
  }

  function takeovers(reason: string): number {
    const found = gateway.primary
      .opsSources()
      .metrics.extra()
      .find(({ name }) => name.endsWith('cache_takeovers_total'));
    let sum = 0;
    for (const sample of found?.samples ?? [])
      if (sample.labels['reason'] === reason && 'value' in sample) sum += sample.value;
    return sum;
  }

  async function isHit(): Promise<void> {
    const next = new Client(path);
    assert.ok((await next.over).bytes.equals(BODY));
    assert.match(String(next.response!.headers['cache-status']), /; hit/);
  }

  test('the client that fetches goes while others read: the fetch goes on for them, and is stored', async () => {
    const before = takeovers('client_gone');
    const { filler, others, first } = await begun(4);
    filler.reset();
    assert.equal((await filler.over).broke, true);
    await until(() => takeovers('client_gone') === before + 1, 'it goes on', SOON_MS);
    first.end(BODY.subarray(FIRST));
    for (const each of others) assert.ok((await each.over).bytes.equals(BODY));
    assert.equal(asked.length, 1);
    await isHit();
  });

  test('the same where the length is not known, so that the others have not begun', async () => {
    const { filler, others, first } = await begun(2, {});
    const { metrics } = gateway.primary.opsSources();
    await until(() => metrics.reader.number('exchanges_active') === 3, 'they wait', SOON_MS);
    const before = takeovers('client_gone');
    filler.reset();
    await until(() => takeovers('client_gone') === before + 1, 'it goes on', SOON_MS);
    first.end(BODY.subarray(FIRST));
    for (const each of others) assert.ok((await each.over).bytes.equals(BODY));
    assert.equal(asked.length, 1);
    await isHit();
  });

  test('the client that fetches goes and nobody waits: the service hears that it need not go on', async () => {
    const { filler, first } = await begun(0);
    const closed = new Promise((resolve) => first.on('close', resolve));
    filler.reset();
    await closed;
    assert.equal(first.writableFinished, false);
  });

  test('all of them go: the service hears it, nothing is kept, and the next one gets it anew', async () => {
    const { filler, others, first } = await begun(2);
    const before = takeovers('client_gone');
    let isClosed = false;
    first.on('close', () => {
      isClosed = true;
    });
    filler.reset();
    await until(() => takeovers('client_gone') === before + 1, 'it goes on', SOON_MS);
    for (const each of others) each.reset();
    await until(() => isClosed, 'the service hears that it need not go on', SOON_MS);
    serve = ({ response }) => response.writeHead(200, { 'Cache-Control': 'max-age=600', ...LENGTH }).end(BODY);
    const next = new Client(path);
    const { bytes, broke } = await next.over;
    const { statusCode, headers } = next.response ?? {};
    assert.ok(bytes.equals(BODY), `${statusCode} ${headers?.['cache-status']}: ${bytes.length} bytes, broke: ${broke}`);
    assert.equal(asked.length, 2);
    await isHit();
  });

  for (const [how, answer] of Object.entries({
    'as a range': ({ incoming, response }: Asked) => {
      const from = Number(/^bytes=(\d+)-$/.exec(String(incoming.headers.range))![1]);
      assert.equal(incoming.headers['if-range'], ETAG);
      const range = { 'Content-Range': `bytes ${from}-${BODY.length - 1}/${BODY.length}`, ETag: ETAG };
      response.writeHead(206, { 'Content-Length': BODY.length - from, ...range }).end(BODY.subarray(from));
    },
    'as the whole, of which it has the beginning': ({ response }: Asked) => {
      response.writeHead(200, { ...LENGTH, ETag: ETAG }).end(BODY);
    },
    'as the whole in chunks': ({ response }: Asked) => {
      response.writeHead(200, { ETag: ETAG }).end(BODY);
    },
  })) {
    test(`the service breaks off in the middle: one request gets the rest for all, ${how}`, async () => {
      const { filler, others, first } = await begun(3);
      const before = takeovers('broken_off');
      serve = answer;
      first.destroy();
      for (const each of [filler, ...others]) {
        const { bytes, broke } = await each.over;
        assert.equal(broke, false);
        assert.ok(bytes.equals(BODY));
      }
      assert.equal(asked.length, 2);
      await isHit();
      await until(() => takeovers('broken_off') === before + 1, 'it is counted', SOON_MS);
    });
  }

  const other = Buffer.alloc(BODY.length, 'x');
  const range = (from: number) => `bytes ${from}-${BODY.length - 1}/${BODY.length}`;
  for (const [what, answer] of Object.entries({
    'another representation': (_: Asked) => [200, { ...LENGTH, ETag: '"another"' }, other] as const,
    'a range of another representation': (_: Asked) =>
      [206, { 'Content-Range': range(FIRST), ETag: '"another"' }, other.subarray(FIRST)] as const,
    'another range': (_: Asked) => [206, { 'Content-Range': range(FIRST + 1), ETag: ETAG }, other] as const,
    'a range without ETag': (_: Asked) => [206, { 'Content-Range': range(FIRST) }, other.subarray(FIRST)] as const,
    'too little': (_: Asked) =>
      [206, { 'Content-Range': range(FIRST), ETag: ETAG }, BODY.subarray(FIRST, FIRST + 6)] as const,
    'too much': (_: Asked) =>
      [206, { 'Content-Range': range(FIRST), ETag: ETAG }, Buffer.concat([BODY.subarray(FIRST), BODY])] as const,
    'a longer whole': (_: Asked) => [200, { ETag: ETAG }, Buffer.concat([BODY, BODY])] as const,
    'an error': (_: Asked) => [503, { ETag: ETAG }, Buffer.from('away')] as const,
  })) {
    test(`the service breaks off and then sends ${what}: nobody gets a mixture for the whole, nothing is stored`, async () => {
      const { filler, others, first } = await begun(2);
      serve = (each) => {
        const [status, head, body] = answer(each);
        each.response.on('error', () => {});
        each.response.writeHead(status, head).end(body);
      };
      first.destroy();
      for (const each of [filler, ...others]) {
        const { bytes, broke } = await each.over;
        assert.equal(broke, true);
        assert.ok(bytes.equals(BODY.subarray(0, bytes.length)), 'and what came before is right');
      }
      serve = ({ response }) => response.writeHead(200, { 'Cache-Control': 'max-age=600', ...LENGTH }).end(BODY);
      const next = new Client(path);
      assert.ok((await next.over).bytes.equals(BODY));
      assert.doesNotMatch(String(next.response!.headers['cache-status']), /; hit/);
    });
  }

  for (const etag of [undefined, 'W/"weak"'])
    test(`the service breaks off, ETag ${etag}: nothing says what the rest belongs to, so all break off`, async () => {
      const { filler, others, first } = await begun(2, { ...LENGTH, ...(etag === undefined ? {} : { ETag: etag }) });
      first.destroy();
      for (const each of [filler, ...others]) assert.equal((await each.over).broke, true);
      assert.equal(asked.length, 1);
    });

  test('it breaks off twice: the second time for good', async () => {
    const { filler, others, first } = await begun(1);
    serve = ({ response }) => {
      response.writeHead(206, { 'Content-Range': range(FIRST), ETag: ETAG, 'Content-Length': BODY.length - FIRST });
      response.write(BODY.subarray(FIRST, 2 * FIRST), () => response.destroy());
    };
    first.destroy();
    assert.equal((await filler.over).broke, true);
    assert.equal((await others[0]!.over).broke, true);
    // The filler asked once; the one that followed it asked once more when that was lost too.
    assert.ok(asked.length <= 3);
  });

  for (const [where, die] of Object.entries({
    'while it fetches': () => {},
    // The lists may be half changed, so the store is emptied; who has begun keeps what is being filled.
    "while it fetches and holds the store's lock": (store: CacheStore, worker: number) => {
      while (Atomics.compareExchange(store.words, LOCK, 0, worker + 1) !== 0);
    },
  })) {
    test(`a worker that is killed ${where}: those in other workers who have begun ask for the rest themselves`, async (t) => {
      const shared = gateway;
      t.after(() => {
        gateway = shared;
      });
      // Of its own: where a worker was replaced, its place in the store is another one than its index.
      gateway = await start(t);
      path = `${gateway.url}/a`;
      const { primary } = gateway;
      const { filler, others } = await begun(24);
      const store = new CacheStore(primary.cache.memory, -1);
      store.find(path, 0);
      const worker = store.words[store.at(store.filling) + BEFORE]! - 1;
      store.glanceEnd();
      serve = ({ incoming, response }) => {
        const from = Number(/^bytes=(\d+)-$/.exec(String(incoming.headers.range))![1]);
        response.writeHead(206, { 'Content-Range': range(from), ETag: ETAG, 'Content-Length': BODY.length - from });
        response.end(BODY.subarray(from));
      };
      die(store, worker);
      await primary.workers.terminate(worker);
      assert.equal((await filler.over).broke, true);
      const outcomes: Part[] = [];
      for (const { over } of others) void over.then((part) => outcomes.push(part));
      await until(() => outcomes.length === others.length, 'nobody waits for what will not come', SOON_MS);
      const whole = outcomes.filter(({ broke }) => !broke);
      assert.ok(whole.length > 2, `${whole.length} were with other workers`);
      for (const { bytes } of whole) assert.ok(bytes.equals(BODY));
      assert.equal(asked.length, 1 + whole.length);
      await until(() => primary.workers.listening === 3, 'the worker is replaced', SOON_MS);
      serve = ({ response }) => response.writeHead(200, { 'Cache-Control': 'max-age=600', ...LENGTH }).end(BODY);
      assert.ok((await new Client(path).over).bytes.equals(BODY));
      await isHit();
    });
  }
});
