/**
 * Requests, generated sound and then damaged: a connection understands what was said, whichever way the bytes are cut;
 * what it accepts, Node's parser and the strict reader of test/fuzz/support read as the same requests; and what is
 * written on is read as what was understood. Seeds are fixed and named in every failure.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ResponseFraming } from '../../src/data/http1/response-framing.ts';
import { MessageFraming, readRequestFraming, UNKNOWN_LENGTH } from '../../src/data/parser/framing.ts';
import { Head, readRequestHead } from '../../src/data/parser/head.ts';
import { dropMask } from '../../src/data/parser/head-writer.ts';
import { readTarget, Target } from '../../src/data/parser/target.ts';
import { Outbox } from '../../src/data/wire/outbox.ts';
import { fieldLines } from '../support/field-lines.ts';
import { DrivenConnection, LIMITS, PretendedSocket, type Understood } from './support/driven-connection.ts';
import { cuts, pieces, request } from './support/generate.ts';
import { mutate } from './support/mutate.ts';
import { nodeRequests } from './support/node-reader.ts';
import { Random } from './support/random.ts';
import { readRequests } from './support/strict-reader.ts';

const SEED = 20_260_102;

async function understand(text: string, at: readonly number[] = []) {
  const driven = new DrivenConnection();
  await driven.take(pieces(text, at));
  for (let i = 0; i < driven.requests.length; i++) await driven.take([]);
  const { requests, refused } = driven;
  const closed = driven.socket.writableEnded || driven.socket.destroyed;
  driven.end();
  return { requests, whole: requests.filter(({ complete }) => complete), refused, closed };
}

const pipeline = fc.array(request, { minLength: 1, maxLength: 3 });

describe('a sound pipeline', () => {
  test('is understood as it was meant, whole and cut anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(pipeline, cuts(6), async (requests, at) => {
        const text = requests.map((made) => made.text).join('');
        const { whole, refused } = await understand(text, at);
        assert.equal(refused, 0);
        assert.equal(whole.length, requests.length);
        requests.forEach((made, i) => {
          const { method, target, fields, body, trailers } = whole[i]!;
          const { text: _text, status: _status, ...meant } = made;
          assert.deepEqual({ method, target, fields, body, trailers }, meant);
        });
      }),
      { seed: SEED, numRuns: 400 },
    );
  });

  test('cut at every byte gives the same as whole', async () => {
    const [made] = fc.sample(pipeline, { seed: SEED, numRuns: 1 });
    const text = made!.map((one) => one.text).join('');
    const whole = await understand(text);
    const bytes = Buffer.from(text, 'latin1');
    const driven = new DrivenConnection();
    await driven.take(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)));
    assert.deepEqual(driven.requests, whole.requests);
    driven.end();
  });

  test('is written on as what Node and the strict reader take for the same request', async () => {
    await fc.assert(
      fc.asyncProperty(request, async (made) => {
        const written = rewrite(made.text.replace(/^\r\n/, ''), made.body);
        const strict = readRequests(written);
        assert.equal(strict.messages.length, 1);
        assert.deepEqual(strict.messages[0]!.fields, made.fields);
        assert.deepEqual([strict.messages[0]!.method, strict.messages[0]!.target], [made.method, made.target]);
        assert.equal(strict.messages[0]!.body, made.body);
        assert.equal(rewrite(written, made.body), written, 'a second writing differs');
        const { messages, error } = await nodeRequests(written);
        assert.equal(error, null);
        assert.equal(messages.length, 1);
        assert.deepEqual(messages[0]!.fields, made.fields);
        assert.equal(messages[0]!.body, made.body);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe('a damaged pipeline', () => {
  const seeds = fc.sample(pipeline, { seed: SEED, numRuns: 40 }).map((made) => made.map((one) => one.text).join(''));
  const followed = seeds.map((text) => `${text}GET /after HTTP/1.1\r\nHost: a\r\n\r\n`);

  test('what is accepted, Node and the strict reader read as the same requests', async (t) => {
    const random = new Random(SEED);
    let accepted = 0;
    let refused = 0;
    for (let i = 0; i < 2_500; i++) {
      const text = mutate(random.oneOf(followed), random, random.oneOf(followed));
      const ours = await understand(text);
      const problem = await disagreement(text, ours);
      if (problem !== null) assert.fail(`${problem}: ${JSON.stringify(text)} (seed ${SEED}, input ${i})`);
      accepted += ours.whole.length;
      if (ours.refused > 0) refused++;
    }
    t.diagnostic(`seed ${SEED}: ${accepted} requests accepted, ${refused} pipelines refused`);
    assert.ok(accepted > 1_000 && refused > 300, `${accepted} accepted, ${refused} refused`);
  });

  test('is understood the same however it is cut', async () => {
    const random = new Random(SEED + 1);
    for (let i = 0; i < 1_000; i++) {
      const text = mutate(random.oneOf(followed), random, random.oneOf(followed));
      const whole = await understand(text);
      const cut = await understand(
        text,
        Array.from({ length: 1 + random.below(6) }, () => random.below(1_000)),
      );
      const what = `${JSON.stringify(text)} (seed ${SEED + 1}, input ${i})`;
      assert.deepEqual(cut.whole, whole.whole, what);
      // A head that is refused before it is whole may be refused a little later when it comes in pieces.
      if (whole.refused > 0 && cut.refused > 0) assert.equal(cut.refused, whole.refused, what);
      if (cut.refused > 0) assert.ok(whole.refused > 0, what);
    }
  });
});

/** The one request of `text` as the gateway would write it: its head by field-lines.ts, its body framed anew. */
function rewrite(text: string, body: string): string {
  const bytes = Buffer.from(text, 'latin1');
  const head = new Head(LIMITS.maxFields);
  const meaning = new MessageFraming();
  assert.ok(readRequestHead(bytes, 0, bytes.length, LIMITS, head) > 0, head.detail);
  assert.ok(readRequestFraming(head, meaning), head.detail);
  const start = bytes.latin1Slice(0, head.fieldsStart);
  const lines = fieldLines(head, dropMask([]), null, null);
  const socket = new PretendedSocket();
  const outbox = new Outbox(socket.asSocket(), false);
  const frame = new ResponseFraming();
  frame.choose(meaning.bodyLength, 'POST', 200, 1);
  const content = Buffer.from(body, 'latin1');
  frame.body(outbox, content, 0, content.length);
  frame.end(outbox, null);
  outbox.flush();
  assert.equal(socket.written === '', meaning.bodyLength !== UNKNOWN_LENGTH && body === '');
  return `${start}${lines}\r\n${socket.written}`;
}

/** Where Node is stricter than RFC 9112: it refuses then, and never reads otherwise. */
const STRICTER_NODE = new Set([
  'HPE_INVALID_METHOD', // knows only registered methods
  'HPE_INVALID_CHUNK_SIZE', // takes no white space before a chunk extension (§7.1.1) ...
  'HPE_STRICT', // ... nor behind one
]);

function isStricter(error: string, mine: Compared, before: readonly Compared[]): boolean {
  if (STRICTER_NODE.has(error) || before.some(({ trailers }) => trailers.some(isFraming))) return true;
  // The form of the target is read after the connection, in target.ts. Raw UTF-8 in it is too much for Node.
  if (error === 'HPE_INVALID_URL' && /[\x80-\xff]/.test(mine.target)) return true;
  return error === 'HPE_INVALID_URL' && readTarget(mine.target, mine.method, new Target()) !== undefined;
}

async function disagreement(text: string, ours: Awaited<ReturnType<typeof understand>>): Promise<string | null> {
  const strict = readRequests(text);
  if (strict.messages.length < ours.whole.length) return 'the strict reader has fewer requests';
  for (const [i, mine] of ours.whole.entries()) {
    const other = strict.messages[i]!;
    if (!same(mine, other)) return `request ${i} differs from the strict reader's`;
  }
  const node = await nodeRequests(text);
  for (const [i, mine] of ours.whole.entries()) {
    const other = node.messages[i];
    if (other === undefined || !other.complete) {
      if (node.error !== null && isStricter(node.error, mine, ours.whole.slice(0, i + 1))) return null;
      return `Node has no request ${i} (${node.error ?? 'no error'})`;
    }
    if (!same(mine, other)) return `request ${i} differs from Node's`;
  }
  const theirs = node.messages.filter(({ complete }) => complete).length;
  const stopped = ours.refused > 0 || ours.closed || ours.requests.length > ours.whole.length;
  if (theirs > ours.whole.length && !stopped) return `Node has ${theirs} requests where we wait for more`;
  return null;
}

/** Node refuses these in trailers, or obeys them there; here they are read and not passed on (RFC 9110 §6.5.1). */
function isFraming([name]: readonly [string, string]): boolean {
  return /^(content-length|transfer-encoding|connection|upgrade)$/i.test(name);
}

type Compared = Pick<Understood, 'method' | 'target' | 'minor' | 'fields' | 'body' | 'trailers'>;

function same(mine: Compared, other: Compared): boolean {
  // A length is understood, and passed on, without leading zeros.
  const plain = ([name, value]: readonly [string, string]) => [
    name,
    isFraming([name, '']) ? value.replace(/^0+(?=\d)/, '') : value,
  ];
  const view = ({ method, target, minor, fields, body, trailers }: Compared) =>
    JSON.stringify([method, target, minor, fields.map(plain), body, trailers]);
  return view(mine) === view(other);
}
