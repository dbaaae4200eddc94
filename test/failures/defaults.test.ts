/**
 * What a newcomer gets: a service of which nothing is configured but its instances loses no request to an instance that
 * is killed, refuses or resets, because what was not sent goes to the next instance whatever the method, and the
 * instance is left out after three lost connections. What was sent and cut off is a POST that nobody may send again.
 */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { endScene, startScene } from '../support/fault-scene.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const ALGORITHMS = ['weighted-round-robin', 'least-connections', 'ip-hash'];

for (const algorithm of ALGORITHMS) {
  test(`one of three instances is killed, nothing but instances configured (${algorithm})`, async (t) => {
    const scene = await startScene(t, { bare: true, service: { loadBalancing: { algorithm } } });
    const { fleet, load, gateway } = scene;
    const lostBefore = load.POST.lost;
    await fleet.get('b').kill();
    await load.more(120);
    assert.equal(load.GET.lost + load.PUT.lost, 0, load.describe());
    // Those that were under way at the very moment, one for each caller at most; everything afterwards arrives.
    const underWay = load.POST.lost - lostBefore;
    assert.ok(underWay <= 4, load.describe());
    await load.more(120);
    assert.equal(load.POST.lost - lostBefore, underWay, load.describe());
    if (algorithm !== 'ip-hash') {
      // The worker's line comes to the log of the process a moment later. A response that broke off counts twice.
      const isEjected = (line: string): boolean =>
        line.includes('instance ejected') && /\b[34] failures in a row/.test(line);
      await until(() => gateway.logged.some(isEjected), 'the ejection is in the log');
    }
    await endScene(t, scene);
  });
}

test('one of three instances resets each connection before it answers', async (t) => {
  const scene = await startScene(t, { bare: true });
  const { fleet, load } = scene;
  const lostBefore = load.POST.lost;
  await fleet.get('b').become({ kind: 'resets' });
  await load.more(150);
  assert.equal(load.GET.lost + load.PUT.lost, 0, load.describe());
  // POSTs that reached it before it was left out: nobody knows what they did, so they are not sent twice.
  assert.ok(load.POST.lost - lostBefore <= 8, load.describe());
  await endScene(t, scene);
});

test('a POST goes round all instances that refuse, once each, and not to one that took it', async (t) => {
  let taken = 0;
  const upstream = await httpUpstream(t, (request, response) => {
    taken++;
    request.resume().on('end', () => response.end('taken'));
  });
  const refusing: string[] = [];
  for (let i = 0; i < 4; i++) {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    refusing.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await new Promise((resolve) => server.close(resolve));
  }
  const gateway = await startTestGateway(t, {
    services: {
      s: { instances: [...refusing, upstream.url], retries: 0, circuitBreaker: { volumeThreshold: 5 } },
      none: { instances: refusing, retries: 0 },
    },
    routes: [
      { match: { path: '/none' }, service: 'none', auth: 'public' },
      { match: { path: '/*' }, service: 's', auth: 'public' },
    ],
  });
  const body = 'x'.repeat(200_000);
  for (let i = 0; i < 10; i++) {
    const caller = new RawCaller(gateway.port);
    const answer = await caller
      .send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      .answer();
    assert.equal(answer.status, 200, answer.body.toString());
    caller.close();
  }
  assert.equal(taken, 10);
  const caller = new RawCaller(gateway.port);
  assert.equal((await caller.send('GET /none HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status, 502);
  caller.close();
});

test('an instance whose responses break off is left out, also between good ones', async (t) => {
  let broken = 0;
  const half = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => {
      broken++;
      // Every second one is whole.
      const isWhole = broken % 2 === 0;
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n${isWhole ? '0123456789' : '01234'}`);
    });
  });
  half.listen(0, '127.0.0.1');
  await new Promise((resolve) => half.once('listening', resolve));
  t.after(() => void half.close());
  const well = await httpUpstream(t, (_request, response) => response.end('0123456789'));
  const gateway = await startTestGateway(t, {
    services: {
      s: {
        instances: [`http://127.0.0.1:${(half.address() as AddressInfo).port}`, well.url],
        ejection: { counts: 'connections', consecutiveFaults: 2 },
      },
    },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const isOut = (): boolean => gateway.logged.some((line) => line.includes('instance ejected'));
  for (let i = 0; i < 40 && !isOut(); i++) {
    const caller = new RawCaller(gateway.port);
    caller.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await caller.answer().catch(() => {});
    caller.close();
  }
  await until(isOut, 'the instance is left out');
});
