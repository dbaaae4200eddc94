/**
 * Clients that follow a fetch of another one and do not read: what the gateway keeps for each of them is what its
 * socket takes and one piece more, however much the fetch has brought meanwhile.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';
import { wholeLines } from '../../support/whole-lines.ts';

const SOON_MS = 60_000;
const STEP = Buffer.alloc(64 * 1024, 'a step of what is fetched ');
/** More than twice of all that two sockets of one machine take from each other without being read. */
const STEPS = 384;

interface Reading {
  bytes: number;
}

/** A client that reads all that comes. */
function reading(url: string): Reading {
  const got = { bytes: 0 };
  request(url, { agent: false }, (response) => {
    response.on('data', (part: Buffer) => {
      got.bytes += part.length;
    });
  }).end();
  return got;
}

/** A client that sends its request and reads nothing. */
async function silent(port: number, agent: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').pause();
  await once(socket, 'connect');
  socket.write(`GET /large HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: ${agent}\r\n\r\n`);
  return socket;
}

test('clients that follow a fetch and do not read: little waits for them, and who reads later gets all of it', async (t) => {
  const held: ServerResponse[] = [];
  const upstream = await httpUpstream(t, (_incoming, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=600', 'Content-Length': STEPS * STEP.length });
    response.write(STEP);
    held.push(response);
  });
  const gateway = await startTestGateway(t, {
    gateway: { workers: 1, accessLog: { file: 'access.log' } },
    stores: { cacheMemory: '256mb' },
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 'things', auth: 'public', cache: { maxObjectSize: '30mb' } }],
  });
  const url = `${gateway.url}/large`;
  const filler = reading(url);
  await until(() => filler.bytes === STEP.length, 'the fetch has begun', SOON_MS);
  const leaves = await silent(gateway.port, 'leaves');
  const stays = await silent(gateway.port, 'stays');
  const { metrics } = gateway.primary.opsSources();
  await until(() => metrics.reader.number('exchanges_active') === 3, 'they follow', SOON_MS);
  // Told of the fetch behind the other two: what it has, they could have had.
  const last = reading(url);
  await until(() => last.bytes === STEP.length, 'the last one follows', SOON_MS);
  for (let step = 1; step < STEPS; step++) {
    held[0]!.write(STEP);
    const bytes = (step + 1) * STEP.length;
    await until(() => filler.bytes === bytes && last.bytes === bytes, `step ${step} has come`, SOON_MS);
  }
  held[0]!.end();
  assert.equal(held.length, 1);

  let stayed = 0;
  stays.on('data', (part: Buffer) => {
    stayed += part.length;
  });
  stays.resume();
  await until(() => stayed > STEPS * STEP.length, 'who reads later has all of it, and its head', SOON_MS);
  stays.destroy();
  leaves.resetAndDestroy();
  const records = async (): Promise<{ user_agent?: string; bytes_out: number }[]> =>
    wholeLines(await readFile(join(gateway.folder, 'access.log'), 'utf8')).map((line) => JSON.parse(line));
  await until(async () => (await records()).some(({ user_agent }) => user_agent === 'leaves'), 'it is told', SOON_MS);
  const waited = (await records()).find(({ user_agent }) => user_agent === 'leaves')!.bytes_out;
  assert.ok(waited >= STEP.length);
  assert.ok(waited < (STEPS * STEP.length) / 2, `${waited} bytes were handed to a socket that nobody reads`);
});
