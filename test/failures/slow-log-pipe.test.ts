/**
 * The access log on standard output while nobody reads it: requests go on, what the log lacks is counted, and what was
 * read later is whole lines, as many as are not counted.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { wholeLines } from '../support/whole-lines.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const PATIENCE_MS = 120_000;
/** Lines of more than 2 KB: several times what is kept for a log that is not read (4 MB a worker), and the pipe. */
const PATH = `/a/${'x'.repeat(2_000)}`;
const REQUESTS = 6_000;
const CALLERS = 16;

test('a log that nobody reads holds up no request, and says how much of it is missing', {
  timeout: 240_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-pipe-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  const document = {
    gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder, accessLog: 'stdout' },
    routes: [{ match: { path: '/a/*' }, respond: { status: 200 }, auth: 'public' }],
  };
  writeFileSync(file, JSON.stringify(document));
  const child = spawn(process.execPath, [PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(async () => {
    const isGone = once(child, 'exit');
    if (child.kill('SIGKILL')) await isGone;
  });
  // The first line says where it is; then nothing is read.
  const out = child.stdout;
  let text = '';
  const read = (bytes: Buffer): void => {
    text += bytes.toString();
  };
  out.on('data', read);
  await until(() => text.includes('\n'), 'it starts', PATIENCE_MS);
  out.pause();
  const { addresses } = JSON.parse(text.slice(0, text.indexOf('\n'))) as { addresses: { port: number }[] };
  text = text.slice(text.indexOf('\n') + 1);
  const url = `http://127.0.0.1:${addresses[0]!.port}`;

  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
  t.after(() => agent.destroy());
  const ask = (): Promise<number> =>
    new Promise((resolve, reject) => {
      get(url + PATH, { agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      }).on('error', reject);
    });
  const callers = Array.from({ length: CALLERS }, async () => {
    for (let i = 0; i < REQUESTS / CALLERS; i++) assert.equal(await ask(), 200);
  });
  await Promise.all(callers);
  const dropped = async (): Promise<number> => (await readSeries(url)).get('gatehouse_access_log_dropped_total') ?? 0;
  assert.ok((await dropped()) > 0, 'there was no room for all of them');

  out.resume();
  const linesOf = (): string[] => wholeLines(text).filter((line) => line.includes(PATH));
  const isAllThere = async (): Promise<boolean> => linesOf().length + (await dropped()) >= REQUESTS;
  await until(isAllThere, 'what was kept comes', PATIENCE_MS);
  for (const line of linesOf()) assert.equal((JSON.parse(line) as { status: number }).status, 200);
  const before = await dropped();
  assert.equal(await ask(), 200);
  await until(() => linesOf().length > REQUESTS - before, 'the log goes on', PATIENCE_MS);
});
