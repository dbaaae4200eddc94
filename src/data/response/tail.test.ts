import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMetricsBuffer, MetricsBank } from '../../base/metrics.ts';
import type { TailFilter } from '../contract/tail.ts';
import type { RecordedExchange } from './access-record.ts';
import { MOST_EXAMINED, Tail } from './tail.ts';
import { hintOf } from './tail-hint.ts';

const ANY: TailFilter = { route: null, leastStatus: 0, mostStatus: 999, text: null };

const EXCHANGE = {
  requestId: 'b13d507f-0fc7-4aa2-a18a-9f569d6b261d',
  trace: { traceId: '4bf92f3577b34da6a3ce929d0e0e4736' },
  address: '203.0.113.7',
  method: 'GET',
  host: 'api.example.com',
  path: '/notes/7',
  query: '',
  protocol: '1.1',
  bytesReceived: 0,
  bytesSent: 0,
  routeId: 'a',
  grpcStatus: -1,
  subject: 'mia',
  fault: null,
  call: null,
  attempt: {
    firstByteMs: 1,
    service: { settings: { name: 'notes' } },
    endpoint: { settings: { url: 'http://10.0.0.1' } },
  },
  header: (name: string) => (name === 'user-agent' ? 'curl/7.88.1' : null),
} satisfies RecordedExchange;

function setUp(filters: readonly TailFilter[], perSecond = 200) {
  const buffer = createMetricsBuffer({ workers: 1, routes: 2, instances: 2 });
  const sent = { lines: [] as string[], dropped: 0, written: 0 };
  const tail = new Tail(
    { filters, perSecond },
    ({ lines, dropped }) => {
      sent.lines.push(...Buffer.from(lines).toString().split('\n').filter(Boolean));
      sent.dropped += dropped;
    },
    new MetricsBank(buffer, 0),
  );
  const see = (route: string, status: number, atMs = 0, more: Partial<RecordedExchange> = {}): void => {
    const exchange: RecordedExchange = { ...EXCHANGE, routeId: route, ...more };
    if (!tail.wants(exchange, status, atMs, '') || !tail.log.begin(0)) return;
    sent.written++;
    tail.log.text(`"route":"${route}","status":${status},"path":"${exchange.path}","subject":"${exchange.subject}"}`);
    tail.end();
  };
  const seen = (): unknown[] => {
    tail.close();
    return sent.lines.map((line) => {
      const { route, status } = JSON.parse(line);
      return [route, status];
    });
  };
  return { tail, sent, see, seen };
}

test('what no watcher wants is not written', () => {
  const { see, sent } = setUp([
    { ...ANY, route: 'a' },
    { ...ANY, leastStatus: 500, mostStatus: 599 },
  ]);
  see('b', 200);
  assert.equal(sent.written, 0);
});

test('a record is sent once, though two watchers want it', () => {
  const { see, seen } = setUp([{ ...ANY, route: 'a' }, ANY]);
  see('a', 200);
  see('b', 404);
  assert.deepEqual(seen(), [
    ['a', 200],
    ['b', 404],
  ]);
});

test('a text counts only with the rest of its own filter', () => {
  const { see, seen } = setUp([
    { ...ANY, route: 'a', text: 'needle' },
    { ...ANY, leastStatus: 500, text: 'thread' },
  ]);
  see('a', 200, 0, { path: '/needle' });
  see('a', 200, 0, { path: '/thread' });
  see('b', 500, 0, { path: '/needle' });
  see('b', 500, 0, { path: '/thread' });
  assert.deepEqual(seen(), [
    ['a', 200],
    ['b', 500],
  ]);
});

test('the bound holds for each second; what is beyond it is counted and not written', () => {
  const { see, seen, sent } = setUp([ANY], 5);
  for (let i = 0; i < 12; i++) see('a', 200, 1_000 + i);
  for (let i = 0; i < 3; i++) see('b', 200, 2_000);
  const lines = seen();
  assert.deepEqual([lines.length, sent.dropped, sent.written], [8, 7, 8]);
});

test('ten thousand requests a second cost the records that are sent, whatever is watched', () => {
  for (const filters of [
    [ANY],
    [ANY, { ...ANY, leastStatus: 500 }],
    [{ ...ANY, text: 'not-there-at-all' }],
    [{ ...ANY, text: '"subject":"eve"' }],
    [{ ...ANY, text: EXCHANGE.requestId.toUpperCase() }],
  ]) {
    const { see, sent, seen } = setUp(filters, 100);
    for (let i = 0; i < 10_000; i++) see('a', 200, i / 10);
    assert.ok(sent.written <= 100, `${JSON.stringify(filters)}: ${sent.written} records were written`);
    const shown = seen().length;
    assert.equal(sent.dropped, filters.includes(ANY) ? 10_000 - shown : 0);
  }
});

test('a text that could be in any record is looked for in so many, and the others are counted', () => {
  const { see, sent, seen } = setUp([{ ...ANY, text: '"status":404' }], 100);
  for (let i = 0; i < 10_000; i++) see('a', 200, i / 10);
  assert.equal(seen().length, 0);
  assert.deepEqual([sent.written, sent.dropped], [MOST_EXAMINED, 10_000 - MOST_EXAMINED]);
});

test('what no watcher wants by its text does not use up the bound', () => {
  const { see, seen, sent } = setUp([{ ...ANY, text: 'rare' }], 1);
  for (let i = 0; i < 100; i++) see('a', 200);
  see('a', 200, 0, { path: '/rare' });
  assert.deepEqual([seen().length, sent.dropped], [1, 0]);
});

describe('the hint of a text', () => {
  const cases: [text: string, hint: string | null][] = [
    ['/notes/7', '/notes/7'],
    ['"subject":"mia"', 'mia'],
    ['"path":"/a b","status":200', '/a'],
    ['203.0.113.7', '203.0.113.7'],
    ['"status":404', null],
    ['duration_ms', null],
    ['12.5', null],
    ['2026-11-30T01', null],
    ['a\\u00fcb', null],
    ['ü', null],
    ['', null],
  ];
  for (const [text, hint] of cases) test(`${JSON.stringify(text)}: ${hint}`, () => assert.equal(hintOf(text), hint));

  for (const [name, text] of Object.entries({
    path: 'notes/7',
    'request id': 'b13d507f',
    address: '203.0.113.7',
    host: 'api.example',
    subject: '"subject":"mia"',
    'user agent': 'curl/',
    service: '"service":"notes"',
    instance: 'http://10.0.0.1',
    trace: '4bf92f',
    protocol: 'http/1.1',
    method: '"method":"GET"',
  }))
    test(`a request is found by its ${name}`, () => {
      const { tail } = setUp([{ ...ANY, text }]);
      assert.equal(tail.wants(EXCHANGE, 200, 0, ''), true);
    });

  test('and by what a policy adds', () => {
    const { tail } = setUp([{ ...ANY, text: 'gold' }]);
    assert.equal(tail.wants(EXCHANGE, 200, 0, ',"plan":"gold"'), true);
    assert.equal(tail.wants(EXCHANGE, 200, 0, ''), false);
  });
});
