import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ControlLink } from '../contract/policy.ts';
import {
  DROPPED_TOPIC,
  MEMORY_GONE_TOPIC,
  type PageAnswer,
  SPANS_TOPIC,
  type SpanPage,
  type TracingSettings,
} from '../contract/tracing.ts';
import type { ExchangeTrace } from './exchange-trace.ts';
import { clientPart } from './span-fields.ts';
import { type TracedExchange, Tracer } from './tracer.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const CLIENT = clientPart({ scheme: 'http', host: 'x', address: '127.0.0.1', protocol: '1.1', agent: null });

/** Control that answers when the test says so. */
class Control {
  readonly pages: SpanPage[] = [];
  readonly answers: { resolve(answer: PageAnswer): void; reject(error: Error): void }[] = [];
  dropped = 0;
  readonly gone: string[] = [];
  readonly link = {
    subscribe: () => () => {},
    tell: (topic: string, data: unknown) => {
      if (topic === MEMORY_GONE_TOPIC) this.gone.push(String(data));
      else assert.equal(topic, DROPPED_TOPIC);
      if (topic === DROPPED_TOPIC) this.dropped += Number(data);
    },
    ask: (topic: string, data: unknown) => {
      assert.equal(topic, SPANS_TOPIC);
      this.pages.push(data as SpanPage);
      return new Promise<PageAnswer>((resolve, reject) => void this.answers.push({ resolve, reject }));
    },
  } as unknown as ControlLink;
}

const settings = (more: Partial<TracingSettings> = {}): TracingSettings => ({
  ratio: 1,
  parent: 'trusted',
  errors: true,
  slowMs: 0,
  slowRoutes: {},
  policyMs: 5,
  hiddenPatterns: [],
  pageSpans: 2,
  ...more,
});

function exchangeOf(trace: ExchangeTrace, more: Partial<TracedExchange> = {}): TracedExchange {
  return {
    trace,
    startedMs: 0,
    method: 'GET',
    path: '/p',
    upstreamPath: '/p',
    bytesReceived: 0,
    bytesSent: 0,
    grpcStatus: -1,
    fault: null,
    route: { settings: { id: 'r', match: { path: {} } } },
    requestId: 'id-12345',
    copyRequestId(to, at) {
      return to.latin1Write(this.requestId, at, 128);
    },
    ...more,
  };
}

describe('a tracer', () => {
  const begun = (
    more: Partial<TracingSettings>,
    parent: string | null,
    isTrusted: boolean,
    state: string | null = null,
  ) => new Tracer(settings(more), new Control().link).begin(parent, state, isTrusted);

  it('follows whom it is told to follow, and decides itself otherwise', () => {
    const sampled = `00-${TRACE}-${SPAN}-01`;
    const not = `00-${TRACE}-${SPAN}-00`;
    const cases: [more: Partial<TracingSettings>, parent: string | null, isTrusted: boolean, isSampled: boolean][] = [
      [{ ratio: 0 }, sampled, true, true],
      [{ ratio: 0 }, sampled, false, false],
      [{ ratio: 1 }, not, true, false],
      [{ ratio: 1 }, not, false, true],
      [{ ratio: 0, parent: 'always' }, sampled, false, true],
      [{ ratio: 1, parent: 'always' }, not, false, false],
      [{ ratio: 0, parent: 'never' }, sampled, true, false],
      [{ ratio: 1, parent: 'never' }, not, true, true],
      [{ ratio: 0 }, null, true, false],
      [{ ratio: 1 }, null, false, true],
    ];
    for (const [more, parent, isTrusted, isSampled] of cases) {
      const trace = begun(more, parent, isTrusted);
      assert.equal(trace.isSampled, isSampled, JSON.stringify([more, parent, isTrusted]));
      assert.equal(trace.parentId, parent === null ? '' : SPAN);
      if (parent !== null) assert.equal(trace.traceId, TRACE);
    }
  });

  it('says with what probability it decided, and passes the state of others', () => {
    // The last 56 bits of this id are above a half.
    const parent = `00-${TRACE.slice(0, 18)}ff${TRACE.slice(20)}-${SPAN}-01`;
    assert.equal(begun({ ratio: 0.5 }, parent, false, 'a=1,ot=th:4').traceState, 'ot=th:8,a=1');
    assert.equal(begun({ ratio: 0 }, parent, false, 'a=1,ot=th:4').traceState, 'a=1');
    assert.equal(begun({ ratio: 0 }, parent, true, 'a=1,ot=th:4').traceState, 'a=1,ot=th:4');
    assert.equal(begun({ ratio: 1 }, null, false, 'a=1').traceState, '');
    let sampled = 0;
    const tracer = new Tracer(settings({ ratio: 0.5 }), new Control().link);
    for (let i = 0; i < 1_000; i++) {
      const trace = tracer.begin(null, null, false);
      assert.equal(trace.traceState, trace.isSampled ? 'ot=th:8' : '');
      if (trace.isSampled) sampled++;
    }
    assert.ok(sampled > 350 && sampled < 650, `${sampled} of 1,000`);
  });

  it('records what failed or was slow, though it was not sampled', () => {
    const tracer = new Tracer(settings({ ratio: 0, slowMs: 500, slowRoutes: { quick: 50 } }), new Control().link);
    const trace = tracer.begin(null, null, false);
    const reason = (status: number, elapsedMs: number, more: Partial<TracedExchange> = {}) =>
      tracer.reasonFor(exchangeOf(trace, more), status, elapsedMs);
    const quick = { route: { settings: { id: 'quick', match: { path: {} } } } };
    assert.equal(reason(200, 499), null);
    assert.equal(reason(200, 500), 'l');
    assert.equal(reason(200, 50, quick), 'l');
    assert.equal(reason(404, 10), null);
    assert.equal(reason(503, 10), 'e');
    assert.equal(reason(200, 10, { fault: { kind: { reason: 'x', status: 502 } } }), 'e');
    assert.equal(reason(499, 10, { fault: { kind: { reason: 'x', status: 499 } } }), null);
    const quiet = new Tracer(settings({ ratio: 0, errors: false }), new Control().link);
    assert.equal(quiet.reasonFor(exchangeOf(trace), 503, 9e9), null);
  });

  it('hands over pages of one memory, told once, and drops what control does not take in time', async () => {
    const control = new Control();
    const tracer = new Tracer(settings(), control.link);
    const record = (): void => {
      const trace = tracer.begin(null, null, false);
      tracer.record(exchangeOf(trace), CLIENT, 's', 200, 5, 1_800_000_000_000);
    };
    // A page for each two of them; of pages there are four.
    for (let i = 0; i < 10; i++) record();
    assert.equal(control.pages.length, 4);
    assert.deepEqual(
      control.pages.map(({ memory }) => memory !== null),
      [true, ...new Array<boolean>(3).fill(false)],
    );
    assert.equal(new Set(control.pages.map(({ at }) => at)).size, 4);
    const [{ memory, exemplars }] = control.pages as [SpanPage];
    for (const { at, length, memoryId } of control.pages) {
      assert.equal(memoryId, control.pages[0]!.memoryId);
      assert.equal(new Uint8Array(memory!)[at], 18);
      assert.ok(length > 200);
    }
    assert.deepEqual(
      exemplars.map(([routeId, , traceId, seconds]) => [routeId, traceId.length, seconds]),
      [['r', 32, 0.005]],
    );
    // One is taken: its page is written again. Control does not know another one: it is told of the memory again.
    control.answers[0]!.resolve('taken');
    await new Promise(setImmediate);
    for (let i = 0; i < 2; i++) record();
    assert.deepEqual([control.pages[4]!.at, control.pages[4]!.memory], [control.pages[0]!.at, null]);
    control.answers[1]!.resolve('unknown');
    await new Promise(setImmediate);
    for (let i = 0; i < 2; i++) record();
    assert.equal(control.pages[5]!.memory, memory);
    // One that was given up may still be read, so there is other memory from then on.
    control.answers[2]!.reject(new Error('too late'));
    await new Promise(setImmediate);
    for (let i = 0; i < 2; i++) record();
    assert.notEqual(control.pages[6]!.memoryId, control.pages[0]!.memoryId);
    assert.notEqual(control.pages[6]!.memory, null);
    assert.deepEqual(control.gone, [control.pages[0]!.memoryId]);
    record();
    tracer.close();
    assert.equal(control.pages[7]!.spans, 1);
    assert.deepEqual(control.gone, [control.pages[0]!.memoryId, control.pages[6]!.memoryId]);
    // Those of the fifth page, of the one that was not known, and of the one that was given up.
    const untilMs = performance.now() + 10_000;
    while (control.dropped < 6 && performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(control.dropped, 6);
  });

  it('writes no page again whose spans are still on their way, and drops what no page holds', async () => {
    const control = new Control();
    const tracer = new Tracer(settings({ pageSpans: 1 }), control.link);
    const record = (more: Partial<TracedExchange> = {}): void => {
      const trace = tracer.begin(null, null, false);
      tracer.record(exchangeOf(trace, more), CLIENT, 's', 200, 5, 1_800_000_000_000);
    };
    record();
    const [first] = control.pages as [SpanPage];
    control.answers[0]!.resolve('kept');
    await new Promise(setImmediate);
    assert.deepEqual(control.gone, [first.memoryId]);
    record();
    assert.notEqual(control.pages[1]!.memoryId, first.memoryId);
    assert.notEqual(control.pages[1]!.memory, null);
    // Far longer than the room behind a page that is not full.
    record({ requestId: 'x'.repeat(2_000_000), path: 'é'.repeat(2_000) });
    record({ route: { settings: { id: 'y'.repeat(2_000_000), match: { path: {} } } } });
    assert.equal(control.pages.length, 3);
    const page = control.pages[2]!;
    assert.ok(page.length < 10_000 && page.length > 2_048, `${page.length}`);
    tracer.close();
    const untilMs = performance.now() + 10_000;
    while (control.dropped < 1 && performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(control.dropped, 1);
  });

  it('keeps the request id of each exchange until its spans are written, without what patterns hide', () => {
    for (const hiddenPatterns of [[], ['id-2']]) {
      const control = new Control();
      const tracer = new Tracer(settings({ pageSpans: 100, hiddenPatterns }), control.link);
      for (const requestId of ['id-1', 'id-2'.repeat(9), 'id-3']) {
        const exchange = exchangeOf(tracer.begin(null, null, false), { requestId });
        tracer.record(exchange, CLIENT, 's', 200, 5, 1_800_000_000_000);
      }
      tracer.flush();
      const [{ memory, at, length }] = control.pages as [SpanPage];
      const text = Buffer.from(memory!, at, length).latin1Slice(0, length);
      const ids = [...text.matchAll(/gatehouse\.request_id.{4}([-id0-9*]+)/gs)].map(([, id]) => id);
      const second = hiddenPatterns.length === 0 ? 'id-2'.repeat(9) : '***'.repeat(9);
      assert.deepEqual(ids, ['id-1', second, 'id-3']);
      tracer.close();
    }
  });
});
