/**
 * No room on the disk for the identity store and for the access log, and room again: the files of the gateway's process
 * may not grow (support/room.ts), which only it notices.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { largestFile, limitFiles, withoutSignal } from '../support/room.ts';
import { until } from '../support/until.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const PASSWORD = 'ancient walrus paints 9 fences';
const PATIENCE_MS = 60_000;
const SESSIONS = 12;

interface Gateway {
  readonly url: string;
  readonly folder: string;
  readonly child: ChildProcess;
  post(path: string, body: object): Promise<{ status: number; body: Record<string, string> }>;
}

async function start(t: TestContext, document: (folder: string) => object): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-full-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  writeFileSync(file, JSON.stringify(document(folder)));
  const [program, args] = withoutSignal(process.execPath, [PROGRAM, 'start', file, '--json']);
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(async () => {
    const isGone = once(child, 'exit');
    if (child.kill('SIGKILL')) await isGone;
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { addresses } = JSON.parse(line) as { addresses: { port: number }[] };
  const url = `http://127.0.0.1:${addresses[0]!.port}`;
  return {
    url,
    folder,
    child,
    async post(path, body) {
      const response = await fetch(`${url}/api/auth${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: (await response.json()) as Record<string, string> };
    },
  };
}

const gateway = (folder: string, accessLog: unknown) => ({
  host: '127.0.0.1',
  port: 0,
  workers: 2,
  dataDir: folder,
  accessLog,
});

test('no room for the identity store: refreshes are 503, and right again at once when there is room', async (t) => {
  const { url, folder, child, post } = await start(t, (place) => ({
    gateway: gateway(place, 'off'),
    identity: {
      enabled: true,
      registration: { verifyEmail: 'off' },
      firstAdmin: 'off',
      passwords: { memory: '8mb', passes: 1 },
    },
    routes: [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }],
  }));
  const made = await post('/register', { email: 'ada@example.com', username: 'ada', password: PASSWORD });
  assert.ok(made.status < 300, JSON.stringify(made));
  const tokens: string[] = [];
  for (let i = 0; i < SESSIONS; i++) {
    const { status, body } = await post('/login', { username: 'ada', password: PASSWORD });
    assert.equal(status, 200, JSON.stringify(body));
    tokens.push(body['refreshToken']!);
  }
  /** Of each session once; the successor is kept where there is one. */
  const refreshAll = async (): Promise<number[]> =>
    await Promise.all(
      tokens.map(async (refreshToken, i) => {
        const { status, body } = await post('/refresh', { refreshToken });
        if (status === 200) tokens[i] = body['refreshToken']!;
        return status;
      }),
    );
  assert.deepEqual(new Set(await refreshAll()), new Set([200]));
  for (let round = 0; round < 2; round++) {
    limitFiles(child.pid!, largestFile(folder));
    let refused = 0;
    for (const giveUp = AbortSignal.timeout(PATIENCE_MS); refused === 0; giveUp.throwIfAborted()) {
      const statuses = await refreshAll();
      assert.deepEqual(
        [...new Set(statuses)].filter((status) => status !== 200 && status !== 503),
        [],
      );
      refused = statuses.filter((status) => status === 503).length;
    }
    assert.equal((await fetch(`${url}/x`)).status, 200, 'what needs no disk goes on');
    limitFiles(child.pid!, null);
    // At once, all of them: nobody waits for anything to recover.
    assert.deepEqual(new Set(await refreshAll()), new Set([200]), `after ${refused} of ${SESSIONS} were refused`);
    assert.deepEqual(new Set(await refreshAll()), new Set([200]));
  }
});

test('no room for the access log: requests go on, and what the log lacks is counted', async (t) => {
  const { url, folder, child } = await start(t, (place) => ({
    gateway: gateway(place, { file: join(place, 'access.log') }),
    routes: [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }],
  }));
  /** Of all requests, each of which is a line of the log or is missed there. */
  let asked = 0;
  const send = async (path: string): Promise<string> => {
    asked++;
    const response = await fetch(`${url}${path}`);
    assert.equal(response.status, 200);
    return await response.text();
  };
  const askSome = async (): Promise<void> => {
    for (let i = 0; i < 150; i++) await send('/x');
  };
  const dropped = async (): Promise<number> =>
    Number(/^gatehouse_access_log_dropped_total (\d+)/m.exec(await send('/metrics/prometheus'))?.[1] ?? 0);
  const log = join(folder, 'access.log');
  await askSome();
  await until(() => readFileSync(log, 'utf8') !== '', 'lines in the log', PATIENCE_MS);
  for (let round = 0; round < 2; round++) {
    const before = await dropped();
    limitFiles(child.pid!, readFileSync(log).length + 10_000);
    const giveUp = AbortSignal.timeout(PATIENCE_MS);
    while ((await dropped()) === before) {
      giveUp.throwIfAborted();
      await askSome();
    }
    limitFiles(child.pid!, null);
    await askSome();
  }
  const lines = (): string[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((each) => each !== '');
  const isWhole = (line: string): boolean => {
    try {
      return JSON.parse(line) !== null;
    } catch {
      return false; // cut in two when the room ended
    }
  };
  for (const giveUp = AbortSignal.timeout(PATIENCE_MS); ; giveUp.throwIfAborted()) {
    const lost = await dropped();
    // The last ones, and the question itself, are on their way to the log.
    const before = asked;
    await until(() => lines().filter(isWhole).length + lost >= before, `${before} in the log or missed`, PATIENCE_MS);
    t.diagnostic(`${lines().filter(isWhole).length} in the log, ${lost} missed, of ${asked}`);
    if (lines().filter(isWhole).length + lost === asked && lost > 0) break;
  }
  const cut = lines().filter((each) => !isWhole(each)).length;
  assert.ok(cut <= 8, `${cut} cut lines: one for each outage and worker, at most two`);
});
