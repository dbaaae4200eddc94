/**
 * What goes wrong in the program itself where nothing waits for it: a promise that is rejected unheard costs nothing
 * but a line of the log and a count, in the main thread as in a worker; an exception that nothing catches in the main
 * thread lets requests in flight end, then the process, with a code by which a service manager starts it again.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { policyFile } from '../support/policy-file.ts';
import { until } from '../support/until.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
/** Loaded before the program, in its main thread alone: makes the faults, as broken code there would. */
const FAULTS = `import { isMainThread } from 'node:worker_threads';
if (isMainThread) {
  process.on('SIGUSR2', () => void Promise.reject(new Error('nobody waits for this one')));
  process.on('SIGWINCH', () => setImmediate(() => { throw new Error('nobody catches this one'); }));
}
`;
const POLICY = `import { definePolicy } from 'gatehouse/policy';
export default definePolicy({
  name: 'careless',
  create: () => ({ requestHead: () => void Promise.reject(new Error('a hook has left this one')) }),
});`;

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  /** What it wrote to standard error. */
  log(): string;
}

async function start(t: TestContext, routes: object[], more: object = {}): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-own-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [faults, file] = [join(folder, 'faults.mjs'), join(folder, 'gatehouse.json')];
  await writeFile(faults, FAULTS);
  const gateway = { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder, shutdownTimeout: '10s' };
  await writeFile(file, JSON.stringify({ gateway, routes, ...more }));
  const child = spawn(process.execPath, ['--import', faults, PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(() => void child.kill('SIGKILL'));
  let log = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const first = await Promise.race([once(createInterface(child.stdout!), 'line'), once(child, 'exit')]);
  assert.equal(typeof first[0], 'string', log);
  const { addresses } = JSON.parse(first[0]) as { addresses: { port: number }[] };
  return { child, url: `http://127.0.0.1:${addresses[0]!.port}`, log: () => log };
}

async function counted({ url }: Running, thread: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics/prometheus`)).text();
  return Number(
    new RegExp(`^gatehouse_unhandled_rejections_total\\{thread="${thread}"\\} (\\d+)$`, 'm').exec(text)?.[1],
  );
}

test('a promise that is rejected unheard, in the main thread or in a worker, takes nothing from anybody', async (t) => {
  const plain = { respond: { body: 'here' }, auth: 'public' };
  const gateway = await start(t, [
    { match: { path: '/plain' }, ...plain },
    { match: { path: '/careless' }, ...plain, use: await policyFile(t, POLICY) },
  ]);
  assert.equal(await counted(gateway, 'main'), 0);
  gateway.child.kill('SIGUSR2');
  await until(async () => (await counted(gateway, 'main')) === 1, 'that of the main thread is counted');
  assert.match(gateway.log(), /"message":"unhandled promise rejection","error":"nobody waits for this one","stack":"/);
  assert.equal((await fetch(`${gateway.url}/careless`)).status, 200);
  await until(async () => (await counted(gateway, 'worker')) === 1, 'that of the worker is counted');
  assert.match(gateway.log(), /"error":"a hook has left this one"/);
  assert.equal(await (await fetch(`${gateway.url}/plain`)).text(), 'here');
  gateway.child.kill('SIGTERM');
  assert.deepEqual(await once(gateway.child, 'exit'), [0, null]);
});

test('an exception that nothing catches in the main thread: requests in flight end, then the process, with 70', async (t) => {
  const held = Promise.withResolvers<ServerResponse>();
  const service = createServer((_, response) => held.resolve(response)).listen(0, '127.0.0.1');
  t.after(() => service.close());
  await once(service, 'listening');
  const { port } = service.address() as AddressInfo;
  const gateway = await start(t, [{ match: { path: '/*' }, service: 'slow', auth: 'public' }], {
    services: { slow: { instances: [{ url: `http://127.0.0.1:${port}` }] } },
  });
  const asked = fetch(`${gateway.url}/`);
  const response = await held.promise;
  gateway.child.kill('SIGWINCH');
  await until(() => gateway.log().includes('nobody catches this one'), 'it is in the log');
  const ended = once(gateway.child, 'exit');
  response.end('to the end');
  assert.equal(await (await asked).text(), 'to the end');
  assert.deepEqual(await ended, [70, null]);
});
