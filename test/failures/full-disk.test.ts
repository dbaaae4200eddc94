/**
 * A disk that runs full under the identity store and the access log, and has room again: on a file system of a few
 * megabytes of its own, which only the gateway's process sees as mounted.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../support/until.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const PASSWORD = 'ancient walrus paints 9 fences';
const PATIENCE_MS = 60_000;
const SESSIONS = 12;
/** Without privileges of the machine: a user and mount namespace of its own. */
const UNSHARE = ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=6m tmpfs "$0" && exec "$@"'] as const;

const CAN_MOUNT = process.platform === 'linux' && spawnSync('unshare', [...UNSHARE, tmpdir(), 'true']).status === 0;

test('after a full disk every session refreshes again, and the log knows what it lacks', async (t) => {
  if (!CAN_MOUNT) {
    t.skip('this system mounts no file system of one’s own (unshare -rm)');
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'gh-full-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const disk = await mkdtemp(join(folder, 'disk-'));
  const file = join(folder, 'gatehouse.json');
  await writeFile(
    file,
    JSON.stringify({
      gateway: { host: '127.0.0.1', port: 0, workers: 2, dataDir: disk, accessLog: { file: join(disk, 'access.log') } },
      identity: {
        enabled: true,
        registration: { verifyEmail: 'off' },
        firstAdmin: 'off',
        passwords: { memory: '8mb', passes: 1 },
      },
      routes: [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }],
    }),
  );
  const child = spawn('unshare', [...UNSHARE, disk, process.execPath, PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(() => void child.kill('SIGKILL'));
  let errors = '';
  child.stderr!.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
  });
  const [line] = (await Promise.race([once(child.stdout!, 'data'), once(child, 'exit')])) as [Buffer];
  assert.ok(line instanceof Buffer, errors);
  const { addresses } = JSON.parse(String(line)) as { addresses: { port: number }[] };
  const base = `http://127.0.0.1:${addresses[0]!.port}`;
  const onDisk = (name: string): string => join(`/proc/${child.pid}/root`, disk, name);

  /** Of all requests, each of which is a line of the log or is missed there. */
  let asked = 0;
  const send = (path: string, init?: RequestInit): Promise<Response> => {
    asked++;
    return fetch(`${base}${path}`, init);
  };
  const post = async (path: string, body: object): Promise<{ status: number; body: Record<string, string> }> => {
    const response = await send(`/api/auth${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, string> };
  };
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

  const askSome = async (): Promise<void> => {
    for (let i = 0; i < 150; i++) {
      const response = await send('/x');
      await response.text();
      assert.equal(response.status, 200, 'what needs no disk goes on');
    }
  };
  const dropped = async (): Promise<number> => {
    const text = await (await send('/metrics/prometheus')).text();
    return Number(/^gatehouse_access_log_dropped_total (\d+)/m.exec(text)?.[1] ?? 0);
  };
  for (let round = 0; round < 2; round++) {
    let isFull = false;
    for (let size = 1_000_000; size >= 1; size = Math.floor(size / 10)) {
      try {
        for (let i = 0; ; i++) writeFileSync(onDisk(`filler-${round}-${size}-${i}`), Buffer.alloc(size));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
        isFull = true;
      }
    }
    assert.ok(isFull);
    const before = await dropped();
    let refused = 0;
    const giveUp = AbortSignal.timeout(PATIENCE_MS);
    while (refused === 0) {
      giveUp.throwIfAborted();
      const statuses = await refreshAll();
      assert.deepEqual(
        [...new Set(statuses)].filter((status) => status !== 200 && status !== 503),
        [],
      );
      refused = statuses.filter((status) => status === 503).length;
    }
    while ((await dropped()) === before) {
      giveUp.throwIfAborted();
      await askSome();
    }
    for (const size of [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1])
      for (let i = 0; i < 10_000; i++) rmSync(onDisk(`filler-${round}-${size}-${i}`), { force: true });
    // At once, all of them: nobody waits for anything to recover.
    assert.deepEqual(new Set(await refreshAll()), new Set([200]), `after ${refused} of ${SESSIONS} were refused`);
    assert.deepEqual(new Set(await refreshAll()), new Set([200]));
  }
  await askSome();
  const isWhole = (line: string): boolean => {
    try {
      return JSON.parse(line) !== null;
    } catch {
      return false; // cut in two by the full disk
    }
  };
  const lines = (): string[] =>
    readFileSync(onDisk('access.log'), 'utf8')
      .split('\n')
      .filter((each) => each !== '');
  let counts = '';
  for (const giveUp = AbortSignal.timeout(PATIENCE_MS); ; giveUp.throwIfAborted()) {
    const lost = await dropped();
    // The last ones, and the question itself, are on their way to the log.
    const before = asked;
    await until(() => lines().filter(isWhole).length + lost >= before, `${before} in the log or missed`, PATIENCE_MS);
    counts = `${lines().filter(isWhole).length} in the log, ${lost} missed, of ${asked}`;
    if (lines().filter(isWhole).length + lost === asked && lost > 0) break;
  }
  t.diagnostic(counts);
  assert.ok(
    lines().filter((each) => !isWhole(each)).length <= 8,
    'one cut line for each outage and worker, at most two',
  );
  child.kill('SIGTERM');
  await once(child, 'exit');
});
