/** The example as somebody tries it: REST outside, gRPC inside. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { startTestGateway } from '../../test/support/gateway.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

test('books are made, read, listed, watched and taken away over REST, and refused as the service says', async (t) => {
  const service = spawn(process.execPath, [here('services/books.ts')], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => void service.kill('SIGKILL'));
  const [line] = (await once(service.stdout, 'data')) as [Buffer];
  const port = /"port":(\d+)/.exec(line.toString())![1];
  const text = readFileSync(here('gatehouse.yaml'), 'utf8')
    .replace(/\$\{BOOKS_URL:-[^}]*\}/, `http://127.0.0.1:${port}`)
    .replace('proto: books.proto', `proto: ${here('books.proto')}`);
  const { services, routes } = parse(text) as Record<string, unknown>;
  const gateway = await startTestGateway(t, { services, routes });
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${gateway.url}/api/v1/${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    return [response.status, await response.json()] as const;
  };
  const emma = { name: 'shelves/1/books/emma', title: 'Emma', copies: '9007199254740993', tags: ['a'] };
  assert.deepEqual(await call('POST', 'shelves/1/books', { title: 'Emma', copies: '9007199254740993', tags: ['a'] }), [
    200,
    emma,
  ]);
  assert.deepEqual(await call('GET', 'shelves/1/books/emma'), [200, emma]);
  assert.deepEqual(await call('GET', 'shelves/1/books?pageSize=5'), [200, { books: [emma] }]);
  const [conflict, status] = await call('POST', 'shelves/1/books', { title: 'Emma' });
  assert.deepEqual([conflict, (status as { code: number }).code], [409, 6]);
  assert.equal((await call('POST', 'shelves/1/books', { titel: 'x' }))[0], 400);
  const watching = await fetch(`${gateway.url}/api/v1/books:watch`, { headers: { accept: 'text/event-stream' } });
  const reader = watching.body!.getReader();
  const { value } = await reader.read();
  assert.match(Buffer.from(value!).toString(), /^data: \{"name":"shelves\/1\/books\/emma"/);
  await reader.cancel();
  assert.deepEqual(await call('DELETE', 'shelves/1/books/emma'), [200, {}]);
  assert.equal((await call('GET', 'shelves/1/books/emma'))[0], 404);
});
