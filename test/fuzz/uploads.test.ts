/**
 * Bodies of all sizes on pipelined connections of several callers at once, with upstreams that read slowly and callers
 * that pause: each upstream request has the digest that its caller said. It looks for bytes that end up in another
 * request, or twice, or not at all, when read buffers are shared and used again.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { httpUpstream } from '../support/upstream.ts';
import { Random } from './support/random.ts';

const SEED = 20_260_105;
const CALLERS = 5;
const REQUESTS = 24;
/** Around the sizes at which the way of reading or writing changes. */
const SIZES = [0, 1, 15, 1_000, 16_383, 16_384, 16_385, 40_000, 65_535, 65_536, 65_537, 131_072, 262_145, 400_000];

interface Said {
  readonly digest: string;
  readonly bytes: Buffer;
}

const SOURCE = randomBytes(2 * SIZES.at(-1)!);

function said(random: Random, caller: number): Said {
  const size = random.oneOf(SIZES);
  const from = random.below(SOURCE.length - size);
  const body = SOURCE.subarray(from, from + size);
  const digest = createHash('sha256').update(body).digest('hex');
  const method = random.oneOf(['POST', 'PUT']);
  const head = `${method} /${caller} HTTP/1.1\r\nHost: a\r\nX-Digest: ${digest}\r\nX-Caller: ${caller}\r\n`;
  if (random.below(2) === 0) {
    return { digest, bytes: Buffer.concat([Buffer.from(`${head}Content-Length: ${size}\r\n\r\n`), body]) };
  }
  const parts: Buffer[] = [Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`)];
  for (let at = 0; at < size; ) {
    const take = Math.min(size - at, 1 + random.below(100_000));
    parts.push(Buffer.from(`${take.toString(16)}\r\n`), body.subarray(at, at + take), Buffer.from('\r\n'));
    at += take;
  }
  parts.push(Buffer.from('0\r\n\r\n'));
  return { digest, bytes: Buffer.concat(parts) };
}

describe('uploads on shared buffers', () => {
  for (const retries of [0, 2]) {
    test(`with ${retries} retries allowed, every body arrives where it belongs`, async (t) => {
      const upstream = await httpUpstream(t, (request, response) => {
        const hash = createHash('sha256');
        const isSlow = Number(request.headers['x-caller']) % 2 === 0;
        request.on('data', (chunk: Buffer) => {
          hash.update(chunk);
          if (!isSlow) return;
          request.pause();
          setImmediate(() => request.resume());
        });
        request.on('end', () => response.end(`${request.url} ${hash.digest('hex')}`));
      });
      const gateway = await startTestGateway(t, {
        services: { s: { instances: [{ url: upstream.url }], retries } },
        routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
      });
      const random = new Random(SEED + retries);
      const talk = async (caller: number): Promise<void> => {
        const requests = Array.from({ length: REQUESTS }, () => said(random, caller));
        const raw = new RawCaller(gateway.port);
        const all = Buffer.concat(requests.map(({ bytes }) => bytes));
        void send(raw, all, new Random(SEED + caller));
        for (const [i, { digest }] of requests.entries()) {
          const answer = await raw.answer();
          assert.equal(answer.body.toString(), `/${caller} ${digest}`, `caller ${caller}, request ${i}, seed ${SEED}`);
        }
        raw.close();
      };
      await Promise.all(Array.from({ length: CALLERS }, (_, caller) => talk(caller)));
    });
  }
});

async function send(caller: RawCaller, all: Buffer, random: Random): Promise<void> {
  for (let at = 0; at < all.length; ) {
    const end = Math.min(all.length, at + 1 + random.below(120_000));
    await new Promise((resolve) => caller.socket.write(all.subarray(at, end), resolve));
    at = end;
  }
}
