import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FAULTS } from '../../base/errors.ts';
import { WireReader } from '../../base/protobuf/wire.ts';
import { ExchangeTrace, type TracedAttempt } from './exchange-trace.ts';
import { clientPart } from './span-fields.ts';
import { SpanIds } from './span-ids.ts';
import { type FinishedExchange, SpanWriter, spansOf as spansIn } from './span-writer.ts';
import { parseTraceparent } from './trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const NOTHING = { field() {}, fields() {}, begin() {}, end() {}, text() {}, bytes() {}, integer() {}, words() {} };

interface Span {
  readonly id: string;
  readonly parent: string;
  readonly trace: string;
  readonly name: string;
  readonly times: readonly [bigint, bigint];
  readonly attributes: Readonly<Record<string, string>>;
}

function fieldsOf(bytes: Buffer): (readonly [number, Buffer])[] {
  const reader = new WireReader();
  const found: (readonly [number, Buffer])[] = [];
  reader.open(bytes);
  while (reader.at < reader.end) {
    const tag = reader.varint();
    const from = reader.at;
    if ((tag & 7) === 2) found.push([tag >>> 3, reader.blob()]);
    else {
      reader.skip(tag);
      found.push([tag >>> 3, bytes.subarray(from, reader.at)]);
    }
  }
  return found;
}

/** Texts as they are, other values in hexadecimal. */
function attributeOf(bytes: Buffer): [string, string] {
  const [[, key] = [], [, value] = []] = fieldsOf(bytes);
  const [[kind, inner] = []] = fieldsOf(value!);
  return [String(key), kind === 1 ? String(inner) : inner!.toString('hex')];
}

const MEMORY = Buffer.from(new SharedArrayBuffer(1_024 * 1_024));
const FROM = 100;

function openWriter(): SpanWriter {
  const writer = new SpanWriter();
  writer.open(MEMORY, FROM, MEMORY.length);
  return writer;
}

function spansOf(writer: SpanWriter): Span[] {
  assert.equal(writer.isOver, false);
  const bytes = MEMORY.subarray(FROM, FROM + writer.length);
  return fieldsOf(bytes).map(([number, span]) => {
    assert.equal(number, 2);
    const fields = fieldsOf(span);
    const one = (field: number): Buffer => fields.find(([each]) => each === field)?.[1] ?? Buffer.alloc(0);
    return {
      id: one(2).toString('hex'),
      parent: one(4).toString('hex'),
      trace: one(1).toString('hex'),
      name: String(one(5)),
      times: [one(7).readBigUInt64LE(), one(8).readBigUInt64LE()],
      attributes: Object.fromEntries(fields.flatMap(([each, value]) => (each === 9 ? [attributeOf(value)] : []))),
    };
  });
}

const attempt = (startedMs: number): TracedAttempt => ({
  service: { settings: { name: 'a' } },
  endpoint: { settings: { id: 'i', host: 'h', port: 1, url: 'http://h:1/base/' } as never },
  startedMs,
  connectMs: 0,
  sendMs: 0,
  firstByteMs: 2,
  status: 200,
  grpcStatus: -1,
  reusedConnection: true,
});

function exchangeWith(trace: ExchangeTrace, more: Partial<FinishedExchange> = {}): FinishedExchange {
  return {
    trace,
    client: CLIENT,
    reason: 's',
    status: 200,
    startedMs: 1_000,
    elapsedMs: 5,
    wallMs: 1_800_000_000_005,
    method: 'GET',
    path: '/p',
    upstreamPath: '/p',
    bytesReceived: 0,
    bytesSent: 300,
    grpcStatus: -1,
    fault: '',
    route: { settings: { id: 'r', match: { path: { pattern: '/*' } } } },
    requestId: 'id-12345',
    idBytes: Buffer.from('0123id-12345'),
    idAt: 4,
    idLength: 0,
    delivery: null,
    ...more,
  };
}

const CLIENT = clientPart({ scheme: 'http', host: 'x', address: '127.0.0.1', protocol: '1.1', agent: 'ü' });

it('a policy that asks twice has one span, whose id both questions name', () => {
  const writer = openWriter();
  const trace = new ExchangeTrace(new SpanIds(), null, 1, 2, '', true);
  const told = [trace.ask('a.example'), trace.ask('b.example')];
  trace.addPolicy('authenticate', 'auth', 1_000, 1_001, '');
  told.push(trace.ask('c.example'));
  trace.addPolicy('authorize', 'auth', 1_001, 1_002, '');
  writer.add(exchangeWith(trace));
  const [, first, second] = spansOf(writer);
  assert.ok(first && second);
  const ids = told.map((traceparent) => traceparent.split('-')[2]);
  assert.deepEqual(ids, [first.id, first.id, second.id]);
  assert.equal(first.attributes['server.address'], 'a.example');
});

it('an exchange, its attempts and what was waited for are whole spans under each other', () => {
  const writer = openWriter();
  const trace = new ExchangeTrace(new SpanIds(), null, 1, 2, '', true);
  const first = attempt(1_001);
  trace.send(NOTHING, first);
  trace.attemptEnd(first, null, false, 1_004);
  const part = trace.part();
  const second = attempt(1_002);
  part.send(NOTHING, second);
  part.attemptEnd(second, null, true, 1_003);
  part.end('part one', 1_001, 1_003, '500');
  trace.addPolicy('limit', 'rate-limit', 1_000, 1_001, '');
  writer.add(exchangeWith(trace));
  assert.deepEqual([writer.spans, spansIn(exchangeWith(trace))], [5, 5]);
  const [exchange, inner, wait, one, two] = spansOf(writer);
  assert.ok(exchange && inner && wait && one && two);
  assert.deepEqual(
    [exchange, inner, wait, one, two].map(({ name, parent }) => [name, parent]),
    [
      ['GET /*', ''],
      ['part one', exchange.id],
      ['limit', exchange.id],
      ['GET', exchange.id],
      ['HTTP', inner.id],
    ],
  );
  for (const span of [exchange, inner, wait, one, two]) {
    assert.equal(span.trace, trace.traceId);
    assert.match(span.id, /^[0-9a-f]{16}$/);
  }
  assert.deepEqual(exchange.times, [1_800_000_000_000_000_000n, 1_800_000_000_005_000_000n]);
  assert.deepEqual(one.times, [1_800_000_000_001_000_000n, 1_800_000_000_004_000_000n]);
  assert.deepEqual(exchange.attributes, {
    'http.request.method': 'GET',
    'http.route': '/*',
    'gatehouse.route': 'r',
    'url.scheme': 'http',
    'server.address': 'x',
    'client.address': '127.0.0.1',
    'network.protocol.version': '1.1',
    'user_agent.original': 'ü',
    'http.response.status_code': 'c801',
    'gatehouse.recorded': 'sampled',
    'url.path': '/p',
    'gatehouse.request_id': 'id-12345',
    'http.request.body.size': '00',
    'http.response.body.size': 'ac02',
  });
  assert.equal(one.attributes['url.full'], 'http://h:1/base/p');
  assert.equal(one.attributes['gatehouse.connection.reused'], '01');
  assert.equal(two.attributes['gatehouse.abandoned'], '01');
  assert.equal(two.attributes['url.full'], undefined);
});

it('attempts that follow each other keep the ids that their services were sent', () => {
  const sent: string[] = [];
  const out = {
    ...NOTHING,
    bytes: (bytes: Buffer, start: number, end: number) => sent.push(bytes.latin1Slice(start, end)),
  };
  const writer = openWriter();
  const trace = new ExchangeTrace(new SpanIds(), null, 1, 2, '', false);
  const refused = { ...attempt(1_000), status: 503 };
  // Its first connection was stale.
  trace.send(out, refused);
  trace.send(out, refused);
  trace.attemptEnd(refused, null, false, 1_001.25);
  const unsent = { ...attempt(1_001.5), status: 0, firstByteMs: 0 };
  trace.attemptEnd(unsent, FAULTS.connectRefused, false, 1_002);
  const good = attempt(1_002);
  trace.send(out, good);
  trace.attemptEnd(good, null, false, 1_004);
  const late = attempt(1_003);
  trace.send(out, late);
  writer.add(exchangeWith(trace));
  const [exchange, first, second, third, none] = spansOf(writer);
  assert.ok(exchange && first && second && third);
  assert.equal(none, undefined, 'one that has not ended has no span');
  const ids = sent.map((line) => line.split('-')[2]);
  assert.deepEqual([first.id, third.id], [ids[1], ids[2]]);
  assert.equal(new Set([...ids, exchange.id, second.id]).size, 6);
  assert.deepEqual(
    sent.map((line) => line.split('-')[1]),
    Array<string>(4).fill(trace.traceId),
  );
  assert.deepEqual(first.times, [1_800_000_000_000_000_000n, 1_800_000_000_001_250_000n]);
  assert.deepEqual(
    [first, second, third].map(({ attributes }) => [attributes['error.type'], attributes['http.request.resend_count']]),
    [
      ['503', undefined],
      ['connect_failed', '01'],
      [undefined, '02'],
    ],
  );
});

it('a method that nobody knows, a long path and a caller’s own trace are told as they should be', () => {
  const writer = openWriter();
  const parent = parseTraceparent(`00-${TRACE}-${PARENT}-01`)!;
  const trace = new ExchangeTrace(new SpanIds(), parent, parent.trace2, parent.trace3, 'v=1', true);
  assert.equal(trace.traceId, TRACE);
  assert.match(trace.traceparent, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
  for (const [method, path] of [
    ['BREW', `/${'a'.repeat(5_000)}`],
    ['GET', '/é'],
    ['PUT', `/${'a'.repeat(120)}`],
  ] as const)
    writer.add(exchangeWith(trace, { method, path, reason: 'e', status: 503 }));
  const [brew, accent, long] = spansOf(writer);
  assert.deepEqual([brew?.trace, brew?.parent, brew?.name], [TRACE, PARENT, 'HTTP /*']);
  assert.equal(brew?.attributes['http.request.method_original'], 'BREW');
  assert.equal(brew?.attributes['url.path']?.length, 2_048);
  assert.equal(brew?.attributes['error.type'], '503');
  assert.equal(accent?.attributes['url.path'], '/é');
  assert.equal(long?.attributes['url.path']?.length, 121);
  assert.equal(long?.name, 'PUT /*');
});

it('a path of any length, in ASCII or not, is whole', () => {
  const writer = openWriter();
  const trace = new ExchangeTrace(new SpanIds(), null, 1, 2, '', true);
  const paths: string[] = [];
  for (let length = 0; length < 300; length++) paths.push(`/${'a'.repeat(length)}`, `/${'a'.repeat(length)}é`);
  for (const path of paths) writer.add(exchangeWith(trace, { method: 'GET', path, reason: 's', status: 200 }));
  assert.deepEqual(
    spansOf(writer).map(({ attributes }) => attributes['url.path']),
    paths,
  );
});

it('a request id of any length is whole, and a request without a body says so', () => {
  const writer = openWriter();
  const trace = new ExchangeTrace(new SpanIds(), null, 1, 2, '', true);
  const idBytes = Buffer.from(Array.from({ length: 200 }, (_, i) => 0x30 + (i % 10)));
  const lengths = Array.from({ length: 128 }, (_, i) => i + 1);
  for (const idLength of lengths) writer.add(exchangeWith(trace, { requestId: '', idBytes, idAt: 7, idLength }));
  writer.add(exchangeWith(trace, { requestId: '', idLength: 0, bytesReceived: 3 }));
  const spans = spansOf(writer).map(({ attributes }) => attributes);
  const last = spans.pop();
  assert.deepEqual(
    spans.map((attributes) => attributes['gatehouse.request_id']),
    lengths.map((length) => idBytes.latin1Slice(7, 7 + length)),
  );
  assert.ok(spans.every((attributes) => attributes['http.request.body.size'] === '00'));
  assert.equal(last?.['gatehouse.request_id'], undefined);
  assert.equal(last?.['http.request.body.size'], '03');
});
