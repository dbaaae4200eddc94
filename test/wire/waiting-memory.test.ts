/**
 * Requests that wait for somebody (limits in Redis) keep their memory until they have their answer, also when callers
 * leave meanwhile and others come and go; afterwards it serves the next requests.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { echoUpstream } from '../support/upstream.ts';

const WAITING = 45;

interface Caller {
  readonly mark: string;
  readonly socket: Socket;
  answers: string;
}

function call(port: number, path: string, mark: string): Caller {
  const socket = connect({ port, host: '127.0.0.1' });
  const caller: Caller = { mark, socket, answers: '' };
  socket.on('data', (bytes: Buffer) => {
    caller.answers += bytes.toString('latin1');
  });
  socket.on('error', () => {});
  ask(caller, path, mark);
  return caller;
}

function ask(caller: Caller, path: string, mark: string): void {
  caller.socket.write(
    `GET ${path}?${mark} HTTP/1.1\r\nHost: a\r\nX-Mark: ${mark}\r\nX-Request-ID: request-${mark}\r\n\r\n`,
  );
}

const countOf = (text: string, part: string): number => text.split(part).length - 1;

/** Marks in an answer: in the url and the field that the service saw, and in the id that came back. */
function assertOnly(caller: Caller, marks: readonly string[]): void {
  for (const mark of marks) {
    assert.ok(caller.answers.includes(`?${mark}"`), `${mark}: ${caller.answers}`);
    assert.ok(caller.answers.includes(`"X-Mark","${mark}"`), `${mark}: ${caller.answers}`);
    assert.ok(caller.answers.includes(`X-Request-ID: request-${mark}\r\n`), `${mark}: ${caller.answers}`);
  }
  const seen = [...caller.answers.matchAll(/request-([a-z]+\d+)\r/g)].map((match) => match[1]);
  assert.deepEqual(seen, marks);
}

test('a request that waits for Redis is answered as what it was', { timeout: 60_000 }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const upstream = await echoUpstream(t);
  const limited = { by: 'ip', limits: ['100000/1h'] };
  const { port } = await startTestGateway(t, {
    gateway: { workers: 1 },
    stores: { redis: redis.url },
    limits: { redis: { timeout: '5s', fallback: 'closed' } },
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/limited' }, service: 's', auth: 'public', rateLimit: limited },
      { match: { path: '/free' }, service: 's', auth: 'public' },
    ],
  });
  const all: Caller[] = [];
  t.after(() => {
    for (const { socket } of all) socket.destroy();
  });
  const make = (path: string, mark: string): Caller => {
    const caller = call(port, path, mark);
    all.push(caller);
    return caller;
  };
  const answered = (callers: readonly Caller[], times: number): Promise<void> =>
    until(() => callers.every(({ answers }) => countOf(answers, '"trailers":') >= times), `${times} answers`, 20_000);

  // Until the worker has reached Redis it refuses.
  for (let n = 0; ; n++) {
    const first = make('/limited', `first${n}`);
    await until(() => first.answers.includes('\r\n\r\n'), 'the first answer');
    if (first.answers.startsWith('HTTP/1.1 200')) break;
    assert.ok(n < 2_000, first.answers);
  }

  for (let round = 0; round < 3; round++) {
    redis.pause();
    const waiting = Array.from({ length: WAITING }, (_, i) => make('/limited', `waiting${round * 100 + i}`));
    const passing = Array.from({ length: 20 }, (_, i) => make('/free', `passing${round * 100 + i}`));
    await answered(passing, 1);
    for (const [i, { socket }] of waiting.entries()) if (i % 3 === 0) socket.destroy();
    for (const caller of passing) ask(caller, '/free', `${caller.mark}0000`);
    await answered(passing, 2);
    redis.resume();
    const staying = waiting.filter((_, i) => i % 3 !== 0);
    await answered(staying, 1);
    for (const caller of staying) ask(caller, '/limited', `${caller.mark}0000`);
    await answered(staying, 2);
    for (const caller of [...staying, ...passing]) assertOnly(caller, [caller.mark, `${caller.mark}0000`]);
  }
});
