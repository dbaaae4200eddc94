/**
 * What floods over HTTP/2 cost, seen from outside: the processor time of a gateway that runs as a process of its own,
 * as the kernel counts it; and that an address which floods again and again is banned.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { FLOODS } from '../support/http2-floods.ts';
import { get, Http2Peer } from '../support/http2-peer.ts';
import { type Scope, suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const MESSAGES = 5_000;
const CONNECTIONS = 5;
/** Of one flooding connection, its making included. At most a fifth of this is usual. */
const MOST_MS = 100;
/** `sysconf(_SC_CLK_TCK)` on Linux. */
const TICKS_PER_SECOND = 100;

/** Milliseconds of all threads so far (proc(5): utime and stime). */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

/** Sends the whole flood or until the connection is over, then waits for its end. */
async function flood(peer: Http2Peer, message: (n: number) => Uint8Array): Promise<number> {
  peer.credits = false;
  await peer.settled();
  let sent = 0;
  for (; sent < MESSAGES && !peer.isClosed; sent++) {
    peer.send(message(sent));
    if (sent % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
  }
  const { code } = await peer.goaway();
  assert.equal(f.errorName(code), 'ENHANCE_YOUR_CALM');
  await peer.closed();
  return sent;
}

async function startProcess(t: Scope, url: string): Promise<{ pid: number; port: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-floods-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  await writeFile(
    file,
    JSON.stringify({
      gateway: { host: '127.0.0.1', port: 0, workers: 1, spareWorker: false, accessLog: 'off', dataDir: folder },
      services: { s: { instances: [url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    }),
  );
  const child = spawn(process.execPath, [PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(() => void child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { addresses } = JSON.parse(line) as { addresses: { port: number }[] };
  return { pid: child.pid!, port: addresses[0]!.port };
}

describe('the cost of a flood', { skip: process.platform === 'linux' ? false : 'needs /proc' }, () => {
  const scope = suiteScope();
  let gateway: { pid: number; port: number };
  before(async () => {
    const upstream = await httpUpstream(scope, (_, response) => response.end('ok'));
    gateway = await startProcess(scope, upstream.url);
    // What a young process compiles and loads is not the floods'.
    const peer = await Http2Peer.connect(scope, gateway.port);
    // Windows for bodies of two bytes are a flood, too.
    peer.credits = false;
    for (let id = 1; id < 2_000; id += 2) {
      peer.headers(id, get('/'));
      if (id % 50 === 49) await peer.response(id);
    }
    peer.socket.destroy();
    for (const { settings = [], message } of FLOODS)
      await flood(await Http2Peer.connect(scope, gateway.port, settings), message);
  });

  for (const { kind, settings = [], message } of FLOODS)
    test(`of ${kind} is at most ${MOST_MS} ms of a processor`, async (t) => {
      const before = processorMs(gateway.pid);
      let sent = 0;
      for (let i = 0; i < CONNECTIONS; i++)
        sent += await flood(await Http2Peer.connect(t, gateway.port, settings), message);
      const each = (processorMs(gateway.pid) - before) / CONNECTIONS;
      t.diagnostic(`${each.toFixed(0)} ms a connection, ${Math.round(sent / CONNECTIONS)} messages sent`);
      assert.ok(each <= MOST_MS, `${each} ms`);
      const other = await Http2Peer.connect(t, gateway.port);
      other.headers(1, get('/'));
      assert.equal((await other.response(1)).status, '200');
    });
});

test('an address whose connections flood is banned, others are not', async (t) => {
  const gateway = await startTestGateway(t, {
    abuse: { exempt: [], rules: [{ name: 'nonsense', on: ['malformed'], limit: '2/1m' }] },
    routes: [{ match: { path: '/*' }, respond: { status: 200, body: 'ok' }, auth: 'public' }],
  });
  const flooder = async (): Promise<Http2Peer> => {
    const socket = connectTcp({ port: gateway.port, host: '127.0.0.1', localAddress: '127.0.0.9', noDelay: true });
    t.after(() => void socket.destroy());
    const peer = new Http2Peer(socket);
    peer.send(f.PREFACE, f.settingsFrame([]));
    return peer;
  };
  const { message } = FLOODS.find(({ kind }) => kind === 'ping')!;
  for (let i = 0; i < 3; i++) await flood(await flooder(), message);
  await until(async () => {
    const peer = await flooder();
    peer.headers(1, get('/'));
    await peer.closed();
    return !peer.frames.some(({ type }) => type === f.HEADERS);
  }, 'the address is refused before a byte is read');
  const other = await Http2Peer.connect(t, gateway.port);
  other.headers(1, get('/'));
  assert.equal((await other.response(1)).status, '200');
});
