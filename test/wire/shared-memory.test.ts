/**
 * Memory that reads and writes go through is used again from request to request, so bytes of one could end up in
 * another: here many bodies that all differ pass at once, to callers who read slowly or leave in the middle, from
 * services that break off, and every whole one must be what was sent.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream } from '../support/upstream.ts';

/** Bytes that nobody else has: a stamp of the seed in every eight. */
function bodyOf(seed: number, length: number): Buffer {
  const body = Buffer.allocUnsafe(length);
  for (let at = 0; at + 8 <= length; at += 8) {
    body.writeUInt32LE(seed, at);
    body.writeUInt32LE(at, at + 4);
  }
  body.fill(seed & 0xff, length - (length % 8));
  return body;
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const SIZES = [0, 1, 700, 1_400, 9_000, 16_000, 16_384, 17_000, 40_000, 65_536, 66_000, 300_000, 1_100_000];

async function inFront(t: Scope) {
  const upstream = await httpUpstream(t, (request, response) => {
    const url = new URL(request.url!, 'http://a');
    const [seed, length] = [Number(url.searchParams.get('seed')), Number(url.searchParams.get('length'))];
    const parts: Buffer[] = [];
    request.on('data', (bytes: Buffer) => parts.push(bytes));
    request.on('end', () => {
      response.setHeader('X-Received', digest(Buffer.concat(parts)));
      if (url.searchParams.has('chunked')) response.write(bodyOf(seed, length));
      else response.setHeader('Content-Length', length);
      if (url.searchParams.has('break')) {
        response.write(bodyOf(seed, length >> 1));
        setImmediate(() => request.socket.destroy());
      } else response.end(url.searchParams.has('chunked') ? undefined : bodyOf(seed, length));
    });
  });
  return startTestGateway(t, {
    gateway: { workers: 1 },
    services: { s: { instances: [{ url: upstream.url }], pool: { maxConnections: 24 } } },
    routes: [{ match: { path: '/*' }, service: 's', maxRequestSize: '8mb', auth: 'public' }],
  });
}

interface Call {
  readonly path: string;
  readonly body: Buffer;
  /** Reads in small gulps with pauses. */
  readonly slow: boolean;
  /** Leaves after so many bytes. */
  readonly leaveAfter: number;
}

/** The whole answer, or null for who left. */
function call(port: number, { path, body, slow, leaveAfter }: Call): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const parts: Buffer[] = [];
    let received = 0;
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), body]));
    socket.on('data', (bytes: Buffer) => {
      parts.push(bytes);
      received += bytes.length;
      if (received > leaveAfter) {
        socket.destroy();
        resolve(null);
      } else if (slow) {
        socket.pause();
        setImmediate(() => setImmediate(() => socket.resume()));
      }
    });
    socket.on('end', () => resolve(Buffer.concat(parts)));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(null) : reject(error),
    );
  });
}

describe('bodies of every size at once', () => {
  for (const chunked of [false, true]) {
    test(`${chunked ? 'in chunks' : 'with a length'}, up and down, are nobody else's`, async (t) => {
      const gateway = await inFront(t);
      let seed = 1;
      let whole = 0;
      for (let round = 0; round < 6; round++) {
        const calls = SIZES.map(async (length, index) => {
          const mine = seed++;
          const up = bodyOf(mine + 1_000_000, SIZES[(index + round) % SIZES.length]!);
          const kind = (index + round) % 6;
          const path = `/?seed=${mine}&length=${length}${chunked ? '&chunked' : ''}${kind === 5 && length > 1 ? '&break' : ''}`;
          const leaveAfter = kind === 4 ? length / 3 : Number.POSITIVE_INFINITY;
          const answer = await call(gateway.port, { path, body: up, slow: kind === 2 || kind === 3, leaveAfter });
          if (answer === null || kind >= 4) return;
          const end = answer.indexOf('\r\n\r\n') + 4;
          const head = answer.subarray(0, end).toString('latin1');
          assert.match(head, /^HTTP\/1\.1 200 /, `${path}: ${head}`);
          assert.match(head.toLowerCase(), new RegExp(`x-received: ${digest(up)}`), `${path}: the body sent changed`);
          const received = chunked ? unchunked(answer.subarray(end)) : answer.subarray(end);
          assert.equal(received.length, length, path);
          assert.equal(digest(received), digest(bodyOf(mine, length)), `${path}: the body received changed`);
          whole++;
        });
        await Promise.all(calls);
      }
      assert.ok(whole > 40, `only ${whole} whole answers`);
    });
  }
});

function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.latin1Slice(at, end), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
