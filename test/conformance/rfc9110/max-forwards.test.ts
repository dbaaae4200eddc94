/** RFC 9110 §7.6.2: Max-Forwards, of the two methods that it is for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, Scene } from '../support/scene.ts';

const options = (left: string): string => `OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: ${left}\r\n\r\n`;

describe('RFC 9110 §7.6.2 Max-Forwards', () => {
  const scene = new Scene();

  test('§7.6.2: OPTIONS is passed on with one less', async () => {
    for (const [given, left] of [
      ['7', '6'],
      ['10', '9'],
      ['1', '0'],
    ] as const) {
      assert.equal((await scene.ask(options(given))).status, 200);
      assert.deepEqual(scene.upstreamField('max-forwards'), [left]);
    }
  });

  test('§7.6.2: at zero the gateway answers itself', async () => {
    const answer = await scene.ask(options('0'));
    assert.equal(answer.status, 204);
    assert.match(answer.headers['allow']!, /GET/);
    assert.equal(scene.requests.length, 0);
  });

  test('§7.6.2: it means nothing to other methods', async () => {
    assert.equal((await scene.ask(get('/', 'Max-Forwards: 0\r\n'))).status, 200);
    assert.deepEqual(scene.upstreamField('max-forwards'), ['0']);
  });

  test('§7.6.2: what is no number is not counted', async () => {
    assert.equal((await scene.ask(options('many'))).status, 200);
    assert.deepEqual(scene.upstreamField('max-forwards'), ['many']);
  });
});
