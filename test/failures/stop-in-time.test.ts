/** How long the end of a gateway takes, and how long a client that reads nothing holds its connection. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const TIMEOUT_MS = 1_000;
/** What the end may take beyond the time that requests have. */
const MOST_MS = 200;
/** The best of them counts: other work on the machine makes a stop longer and never shorter. */
const TRIES = 8;
/** And none may take so much beyond its time, whatever else the machine does. */
const NEVER_MS = 10_000;

/** Until one of the stops is in time; the times of all. */
async function stops(t: Scope, mostMs: number, open: (port: number) => Promise<() => void>): Promise<number[]> {
  const { url } = await httpUpstream(t, (request, response) => {
    if (request.headers.upgrade === undefined) response.writeHead(200).write('begun');
  });
  const took: number[] = [];
  while (took.length < TRIES && !took.some((ms) => ms <= mostMs)) {
    const gateway = await startTestGateway(t, {
      gateway: { shutdownTimeout: TIMEOUT_MS },
      services: { s: { instances: [url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const close = await open(gateway.port);
    const begun = performance.now();
    await gateway.stop();
    took.push(Math.round(performance.now() - begun));
    close();
  }
  return took;
}

test('a stop with nothing open is done at once', async (t) => {
  const took = await stops(t, MOST_MS, async () => () => {});
  assert.ok(Math.min(...took) <= MOST_MS && Math.max(...took) <= NEVER_MS, `ms: ${took.join(', ')}`);
});

test('a stop with a response that does not end takes shutdownTimeout and at most 200 ms more', async (t) => {
  const took = await stops(t, TIMEOUT_MS + MOST_MS, async (port) => {
    const caller = new RawCaller(port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => caller.received.includes('begun'), 'the response has begun', 10_000);
    return () => caller.close();
  });
  assert.ok(Math.min(...took) >= TIMEOUT_MS - 10, `it waits that long: ${took.join(', ')}`);
  assert.ok(Math.min(...took) <= TIMEOUT_MS + MOST_MS, `ms: ${took.join(', ')}`);
  assert.ok(Math.max(...took) <= TIMEOUT_MS + NEVER_MS, `ms: ${took.join(', ')}`);
});

test('an instance that comes or goes while the gateway stops holds up nothing: no worker takes its place', async (t) => {
  for (let afterMs = 0; afterMs < 24; afterMs += 2) {
    const gateway = await startTestGateway(t, {
      registry: { token: 'a-token-of-some-length' },
      services: { s: { discovery: { registry: true } } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const begun = performance.now();
    const stopped = gateway.stop({ timeoutMs: TIMEOUT_MS });
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await gateway.primary.setDiscovered({ s: [{ url: `http://127.0.0.1:${4_000 + afterMs}` }] });
    await stopped;
    const took = performance.now() - begun;
    assert.ok(took < NEVER_MS, `${took} ms, after ${afterMs}`);
  }
});

test('an HTTP/1.1 client that reads nothing is given up after timeouts.write and no later', async (t) => {
  const WRITE_MS = 1_000;
  const { url } = await httpUpstream(t, (_request, response) => void response.end(Buffer.alloc(32 * 1024 * 1024)));
  const gateway = await startTestGateway(t, {
    gateway: { accessLog: { file: 'access.log' }, timeouts: { write: WRITE_MS } },
    services: { s: { instances: [url] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const file = join(gateway.folder, 'access.log');
  const lines = (): string[] => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []);
  const took: number[] = [];
  while (took.length < TRIES && !took.some((ms) => ms <= WRITE_MS + 2 * MOST_MS)) {
    const reader = connect(gateway.port, '127.0.0.1');
    t.after(() => void reader.destroy());
    reader.on('error', () => {});
    reader.pause();
    reader.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => lines().length > took.length, 'its line', 20_000);
    const line = JSON.parse(lines()[took.length]!) as { fault: string; duration_ms: number };
    assert.equal(line.fault, 'downstream_stalled');
    took.push(line.duration_ms);
  }
  assert.ok(Math.min(...took) >= WRITE_MS, `ms: ${took.join(', ')}`);
  assert.ok(Math.min(...took) <= WRITE_MS + 2 * MOST_MS, `ms: ${took.join(', ')}`);
  assert.ok(Math.max(...took) <= WRITE_MS + NEVER_MS, `ms: ${took.join(', ')}`);
});
