import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { wordOf } from './span-ids.ts';
import {
  checkTracestate,
  isSampledBy,
  parseTraceparent,
  randomnessOf,
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
      isRandom: false,
    });
    assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-02`)?.isSampled, false);
    assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-02`)?.isRandom, true);
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
    assert.equal(withThreshold('a=1,ot=th:4,b=2', '8'), 'ot=th:8,a=1,b=2');
    assert.equal(withThreshold('a=1,ot=rv:0123456789abcd;th:4;x:y', '8'), 'ot=th:8;rv:0123456789abcd;x:y,a=1');
    assert.equal(withThreshold('ot=th:4;rv:0123456789abcd', null), 'ot=rv:0123456789abcd');
    assert.equal(withThreshold('ot=th:4,a=1', null), 'a=1');
    assert.equal(withThreshold('ot=th:4;rv:12,a=1', '8'), 'ot=th:8,a=1');
    assert.equal(withThreshold('', null), '');
    const full = Array.from({ length: 32 }, (_, i) => `k${i}=1`);
    assert.equal(withThreshold(full.join(','), '8'), ['ot=th:8', ...full.slice(0, 31)].join(','));
  });

  it('decides by the randomness that whoever began the trace has put into its state', () => {
    assert.equal(randomnessOf('a=1,ot=th:8;rv:80000000000000'), 2 ** 51);
    assert.equal(randomnessOf('ot=rv:ffffffffffffff'), 2 ** 52 - 1);
    for (const state of ['', 'a=1', 'ot=th:8', 'ot=rv:8', 'ot=rv:8000000000000g', 'foot=rv:80000000000000'])
      assert.equal(randomnessOf(state), null, state);
  });

  it('passes of a state what the specification allows', () => {
    const members = (count: number): string => Array.from({ length: count }, (_, i) => `k${i}=1`).join(',');
    const long = `long=${'a'.repeat(130)}`;
    const cases: [state: string, passes: string][] = [
      ['a=1, b@c=2\t, ,d*/-_9= x ,,', 'a=1,b@c=2,d*/-_9= x'],
      // The first of a key is the latest.
      ['a=1,b=2,a=3', 'a=1,b=2'],
      ['a=1,A=2,=3,b,c=,d=é,e=1=2,f=a\x7f,g=2', 'a=1,g=2'],
      ['a=1\r\nx: y', ''],
      [`${'k'.repeat(256)}=v`, `${'k'.repeat(256)}=v`],
      [`${'k'.repeat(257)}=v`, ''],
      [`a=${'v'.repeat(256)}`, `a=${'v'.repeat(256)}`],
      [`a=${'v'.repeat(257)}`, ''],
      [members(32), members(32)],
      [members(33), ''],
      // Long ones go first, then the last ones.
      [[long, ...Array.from({ length: 4 }, (_, i) => `k${i}=${'b'.repeat(100)}`)].join(','), 'k0 k1 k2 k3'],
      [Array.from({ length: 6 }, (_, i) => `k${i}=${'b'.repeat(100)}`).join(','), 'k0 k1 k2 k3'],
      [`a=${'1'.repeat(256)},b=${'1'.repeat(254)}`, ''],
      ['', ''],
    ];
    for (const [state, passes] of cases) {
      const passed = checkTracestate(state);
      const short = passed.length > 300 ? passed.replace(/=b+/g, '').replaceAll(',', ' ') : passed;
      assert.equal(short, passes, JSON.stringify(state));
      assert.ok(passed.length <= 512);
    }
  });
});
