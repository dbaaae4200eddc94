/** Every row of the example's README, against its own configuration and service. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { startTestGateway, type TestGateway } from '../../test/support/gateway.ts';
import { suiteScope } from '../../test/support/scope.ts';
import { eventually } from '../shared/testing.ts';
import { runTries } from '../tries.ts';
import example from './example.ts';
import { type Library, library } from './services/library.ts';

interface Got {
  readonly status: number;
  readonly how: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies freely
  readonly body: any;
}

describe('the example cache', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  let service: Library;
  let serviceUrl: string;
  const [ada, bob] = [example.env.API_KEY_1, example.env.API_KEY_2].map((text) => text.split(':')[0]!) as [
    string,
    string,
  ];

  before(async () => {
    service = library(0.05);
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    scope.after(() => {
      service.closeAllConnections();
      service.close();
    });
    serviceUrl = `http://127.0.0.1:${(service.address() as { port: number }).port}`;
    // The same configuration, on ports of its own and in a folder that is gone afterwards.
    const document = parse(await readFile(new URL('gatehouse.yaml', import.meta.url), 'utf8'));
    document.services.library.instances = [{ url: serviceUrl }];
    const { port, dataDir, ...own } = document.gateway;
    assert.deepEqual([port, dataDir], [8000, './data']);
    gateway = await startTestGateway(scope, { ...document, gateway: { ...own, workers: 2 } }, example.env);
  });

  async function get(path: string, headers: Record<string, string> = {}): Promise<Got> {
    const response = await fetch(gateway.url + path, { headers: { 'cache-control': 'nothing', ...headers } });
    const body = await response.json();
    return { status: response.status, how: response.headers.get('cache-status') ?? '', body };
  }

  const isHit = async (path: string): Promise<boolean> => (await get(path)).how.includes('; hit');

  async function purge(...args: string[]): Promise<void> {
    const cli = commandLine();
    const { code, err } = await cli.run('cache', 'purge', ...args, '--socket', join(gateway.folder, 'gatehouse.sock'));
    cli.remove();
    assert.equal(code, 0, err);
  }

  test('a search is made once, whatever a newsletter added, and by however many at once', async () => {
    assert.equal(await isHit('/books?q=walrus'), false);
    assert.match((await get('/books?q=walrus&utm_source=x')).how, /; hit; ttl=\d+$/);
    const asked = service.asked;
    const all = await Promise.all(Array.from({ length: 100 }, () => get('/books?q=field')));
    assert.ok(all.every(({ body }) => body.books.length === 1));
    assert.equal(service.asked, asked + 1);
  });

  test('a changed price is there at once, and in lists when they are purged by the tag of the book', async () => {
    const list = '/books?q=walrus&page=1';
    await get(list);
    const before = await get('/books/1');
    assert.equal(before.body.price, 12);
    assert.equal(await isHit('/books/1'), true);
    const put = { method: 'PUT', body: '{"price":7}' };
    assert.equal((await fetch(`${gateway.url}/books/1`, put)).status, 401);
    const changed = await fetch(`${gateway.url}/books/1`, { ...put, headers: { 'x-api-key': ada } });
    assert.deepEqual(await changed.json(), { changed: 1 });
    assert.equal((await get('/books/1')).body.price, 7);
    assert.equal((await get(list)).body.books[0].price, 12, 'the list is another URL');
    await purge('--tag', 'book-1');
    assert.equal((await get(list)).body.books[0].price, 7);
  });

  test('what has not changed is not sent again; what does not exist is remembered for a while', async () => {
    await get('/books/3');
    // As after a minute.
    const again = await get('/books/3', { 'cache-control': 'max-age=0' });
    assert.match(again.how, /fwd=stale; fwd-status=304; stored/);
    assert.equal(again.body.title, 'A Field Guide to Caches');
    assert.equal((await get('/books/99')).status, 404);
    const known = await get('/books/99');
    assert.deepEqual([known.status, known.how.includes('; hit')], [404, true]);
  });

  test('loans are for the reader alone', async () => {
    const loans = (key: string) => get('/loans', { 'x-api-key': key });
    for (let round = 0; round < 2; round++) {
      const [hers, his] = [await loans(ada), await loans(bob)];
      assert.deepEqual([hers.body.reader, his.body.reader], ['ada', 'bob']);
      assert.equal(hers.how.includes('; hit') && his.how.includes('; hit'), round > 0);
    }
    assert.equal((await fetch(`${gateway.url}/loans`)).status, 401);
  });

  test('hours are sent while they are fetched anew, and when the calendar is away', async () => {
    const first = await get('/hours');
    await eventually(async () => (await get('/hours')).how.includes('ttl=-'), 'they are stale, and sent at once');
    await eventually(async () => (await get('/hours')).body.asked > first.body.asked, 'they have been fetched anew');
    await (await fetch(`${serviceUrl}/drill?broken`)).text();
    const asked = service.asked;
    await eventually(async () => {
      await get('/hours');
      return service.asked > asked;
    }, 'the calendar is asked in vain');
    const still = await get('/hours');
    assert.deepEqual([still.status, still.body.monday], [200, '9 to 18']);
    await (await fetch(`${serviceUrl}/drill`)).text();
  });

  test('who has no requests left still gets what is in memory', async () => {
    await get('/books/2');
    for (let i = 0; i < 700; i++) assert.equal((await get('/books/2')).status, 200);
  });

  test('what is printed to try works', async () => {
    const lines = example.tries
      .filter((line) => line.startsWith('curl'))
      .map((line) => line.replaceAll('http://127.0.0.1:4121', serviceUrl));
    const out = await runTries({ lines, printed: 'http://127.0.0.1:8000', url: gateway.url, folder: gateway.folder });
    assert.match(out, /; hit; ttl=/);
    assert.match(out, /"price":7/);
    assert.match(out, /"reader":"ada".*"reader":"bob"/s);
    await (await fetch(`${serviceUrl}/drill`)).text();
  });
});
