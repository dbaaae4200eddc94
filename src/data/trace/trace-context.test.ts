import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { wordOf } from './span-ids.ts';
import {
  checkTracestate,
  isSampledBy,
  parseTraceparent,
  rejectedBelow,
  thresholdOf,
  withThreshold,
} from './trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('trace context', () => {
  it('reads what the specification allows, also of later versions, and nothing else', () => {
    assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-01`), {
      trace0: 0x0af76519,
      trace1: 0x16cd43dd,
      trace2: 0x8448eb21 | 0,
      trace3: 0x1c80319c,
      spanId: SPAN,
      isSampled: true,
    });
    assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-02`)?.isSampled, false);
    assert.equal(parseTraceparent(`cc-${TRACE}-${SPAN}-01-more`)?.trace3, 0x1c80319c);
    const wrong = [
      '',
      `00-${TRACE}-${SPAN}-01-more`,
      `ff-${TRACE}-${SPAN}-01`,
      `00-${'0'.repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `00-${TRACE.toUpperCase()}-${SPAN}-01`,
      `00-${TRACE}-${SPAN}-0`,
      `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    ];
    for (const text of wrong) assert.equal(parseTraceparent(text), null, text);
  });

  it('decides by the id: the same everywhere, as often as the ratio says', () => {
    const sampled = (last: string, ratio: number): boolean =>
      isSampledBy(wordOf(`ff${last.slice(0, 6)}`), wordOf(last.slice(6)), rejectedBelow(ratio));
    assert.equal(sampled('80000000000000', 0.5), true);
    assert.equal(sampled('7fffffffffffff', 0.5), false);
    assert.equal(sampled('00000000000000', 1), true);
    assert.equal(sampled('ffffffffffffff', 0), false);
    let count = 0;
    for (let i = 0; i < 10_000; i++) {
      const bits = Math.floor((i / 10_000) * 2 ** 52);
      if (sampled(`${bits.toString(16).padStart(13, '0')}0`, 0.25)) count++;
    }
    assert.equal(count, 2_500);
  });

  it('says its threshold as OpenTelemetry does, and takes an older one away', () => {
    assert.deepEqual([1, 0.5, 0.25, 0.1].map(thresholdOf), ['0', '8', 'c', 'e666666666667']);
    assert.equal(withThreshold('a=1, ot=th:4;rv:12 ,b=2', '8'), 'ot=th:8,a=1,b=2');
    assert.equal(withThreshold('ot=th:4,a=1', null), 'a=1');
    assert.equal(checkTracestate('a=1\r\nx: y'), '');
    assert.equal(checkTracestate('a'.repeat(513)), '');
  });
});
