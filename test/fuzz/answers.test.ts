/**
 * Answers of upstreams, generated sound and then damaged: a session understands what was said, whichever way the bytes
 * are cut and whatever happens to its buffer afterwards; what it takes for a whole answer, Node's client and the strict
 * reader take for the same one. Seeds are fixed and named in every failure.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type UnderstoodAnswer, understandAnswer } from './support/driven-session.ts';
import { answer, cuts, pieces } from './support/generate.ts';
import { mutate } from './support/mutate.ts';
import { nodeAnswer } from './support/node-reader.ts';
import { Random } from './support/random.ts';
import { type ReadMessage, readAnswers, valuesOf } from './support/strict-reader.ts';

const SEED = 20_260_103;
const INTERIM = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';

test('a sound answer is understood as it was meant, whole and cut anywhere, and leaves the connection in order', async () => {
  await fc.assert(
    fc.asyncProperty(answer, fc.nat(2), cuts(6), async (made, hints, at) => {
      const got = await understandAnswer(pieces(INTERIM.repeat(hints) + made.text, at), 'GET', false);
      assert.equal(got.fault, null);
      assert.ok(got.complete && got.reusable);
      assert.equal(got.interim, hints);
      const { status, fields, body, trailers } = got;
      assert.deepEqual(
        { status, fields, body, trailers },
        { status: made.status, fields: made.fields, body: made.body, trailers: made.trailers },
      );
    }),
    { seed: SEED, numRuns: 500 },
  );
});

describe('a damaged answer', () => {
  const sound = fc.sample(answer, { seed: SEED, numRuns: 40 }).map(({ text }) => text);
  const seeds = [
    ...sound,
    ...sound.slice(0, 8).map((text) => INTERIM + text),
    'HTTP/1.1 200 OK\r\nServer: x\r\n\r\nuntil the end',
    'HTTP/1.0 200 OK\r\nServer: x\r\n\r\nuntil the end',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello',
  ];

  for (const method of ['GET', 'HEAD']) {
    test(`to ${method}: what is taken for whole, Node and the strict reader take for the same`, async (t) => {
      const random = new Random(SEED);
      let whole = 0;
      let broken = 0;
      for (let i = 0; i < 1_500; i++) {
        const text = mutate(random.oneOf(seeds), random, random.oneOf(seeds));
        const ours = await understandAnswer(pieces(text, []), method, true);
        const problem = await disagreement(text, method, ours);
        if (problem !== null) assert.fail(`${problem}: ${JSON.stringify(text)} (seed ${SEED}, input ${i})`);
        if (ours.complete) whole++;
        if (ours.fault !== null) broken++;
      }
      t.diagnostic(`seed ${SEED}: ${whole} whole, ${broken} broken`);
      assert.ok(whole > 300 && broken > 300, `${whole} whole, ${broken} broken`);
    });
  }

  test('is understood the same however it is cut', async () => {
    const random = new Random(SEED + 1);
    for (let i = 0; i < 1_500; i++) {
      const text = mutate(random.oneOf(seeds), random, random.oneOf(seeds));
      const ended = random.below(2) === 0;
      const whole = await understandAnswer(pieces(text, []), 'GET', ended);
      const at = Array.from({ length: 1 + random.below(6) }, () => random.below(1_000));
      const cut = await understandAnswer(pieces(text, at), 'GET', ended);
      const what = `${JSON.stringify(text)} (seed ${SEED + 1}, input ${i})`;
      // Bytes behind a whole answer may come after the connection was given back; then they close it there.
      const view = ({ reusable: _, ...rest }: UnderstoodAnswer) => rest;
      // A head that is refused before it is whole may be waited for when it comes in pieces.
      if (whole.status > 0 || whole.fault !== 'upstream_malformed') assert.deepEqual(view(cut), view(whole), what);
      else assert.equal(cut.status, 0, what);
    }
  });
});

/** What Node's client refuses and RFC 9112 allows, or what it does not look at. */
const STRICTER_NODE = new Set(['HPE_INVALID_CHUNK_SIZE', 'HPE_STRICT', 'HPE_UNEXPECTED_CONTENT_LENGTH']);

async function disagreement(text: string, method: string, ours: UnderstoodAnswer): Promise<string | null> {
  if (!ours.complete || ours.upgraded) return null;
  const strict = readAnswers(text, [method], true);
  const final = strict.messages.find(({ status }) => status >= 200);
  if (final === undefined) return `the strict reader has no answer (${JSON.stringify(strict.rest)})`;
  if (!same(ours, final)) return 'differs from what the strict reader has';
  // A close in an interim head ends the connection for Node; here the final answer is still read, and then it ends.
  const interim = strict.messages.slice(0, strict.messages.indexOf(final));
  if (interim.some(({ fields }) => valuesOf(fields, 'connection').some((value) => /close/i.test(value)))) {
    return ours.reusable ? 'an announced close was not heeded' : null;
  }
  const node = await nodeAnswer(text, method, true);
  if (node.answer === null || !node.answer.complete) {
    if (node.error !== null && (STRICTER_NODE.has(node.error) || ours.trailers.some(isFraming))) return null;
    return `Node has no whole answer (${node.error ?? 'no error'})`;
  }
  return same(ours, node.answer) ? null : 'differs from what Node has';
}

/** Node refuses these in trailers; here they are read and not passed on (RFC 9110 §6.5.1). */
function isFraming([name]: readonly [string, string]): boolean {
  return /^(content-length|transfer-encoding|connection|upgrade)$/i.test(name);
}

type Compared = Pick<ReadMessage, 'status' | 'minor' | 'fields' | 'body' | 'trailers'>;

function same(mine: Compared, other: Compared): boolean {
  const plain = ([name, value]: readonly [string, string]) => [
    name,
    /^content-length$/i.test(name) ? value.replace(/^0+(?=\d)/, '') : value,
  ];
  const view = ({ status, minor, fields, body, trailers }: Compared) =>
    JSON.stringify([status, minor, fields.map(plain), body, trailers]);
  return view(mine) === view(other);
}
