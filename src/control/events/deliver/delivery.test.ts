/** What a response means for an event, and how an event becomes fields. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { event } from '../engines/engine.suite.ts';
import { deliveryRequest, encodeField, verdictOf } from './delivery.ts';

const NOW_MS = Date.parse('2026-01-02T03:04:05Z');
const NOTHING = new Uint8Array();
const PLAIN = { format: 'data', headers: [], secrets: [] } as const;

test('2xx is delivered, what may get better is tried again, the rest is refused', () => {
  const kinds = (statuses: readonly number[]): string[] => [
    ...new Set(statuses.map((status) => verdictOf(status, null, NOTHING, NOW_MS).kind)),
  ];
  assert.deepEqual(kinds([200, 201, 202, 204, 299]), ['delivered']);
  assert.deepEqual(kinds([408, 409, 425, 429, 500, 502, 503, 504, 599]), ['again']);
  assert.deepEqual(kinds([301, 302, 304, 400, 401, 403, 404, 410, 413, 422]), ['refused']);
});

test('Retry-After is kept to, as seconds or as a date, up to an hour', () => {
  const afterMs = (text: string | null) => {
    const verdict = verdictOf(503, text, NOTHING, NOW_MS);
    return verdict.kind === 'again' ? verdict.afterMs : -1;
  };
  assert.deepEqual(
    [null, '7', 'Fri, 02 Jan 2026 03:04:15 GMT', 'Fri, 02 Jan 2026 03:00:00 GMT', 'soon', '-3', '999999'].map(afterMs),
    [0, 7_000, 10_000, 0, 0, 0, 3_600_000],
  );
});

test('a problem holds the beginning of the response, as text', () => {
  const verdict = verdictOf(400, null, Buffer.from('x'.repeat(5_000)), NOW_MS);
  assert.deepEqual(verdict, { kind: 'refused', problem: `status 400: ${'x'.repeat(300)}` });
});

test('attributes cannot split a message: what is no visible ASCII is percent-encoded', () => {
  assert.equal(encodeField('a b"c%d\r\ne: ü~!#'), 'a%20b%22c%25d%0D%0Ae:%20%C3%BC~!#');
  const { fields } = deliveryRequest(event('id\r\nx: y', { attributes: { type: 'a\nb', source: '/' } }), PLAIN, NOW_MS);
  for (const [, value] of fields) assert.match(value, /^[\x20-\x7e]*$/);
});

test('without a secret nothing is signed, but the id is there', () => {
  const { fields } = deliveryRequest(event('e-1'), PLAIN, NOW_MS);
  const found = new Map(fields);
  assert.equal(found.get('webhook-id'), 'e-1');
  assert.equal(found.get('webhook-timestamp'), String(NOW_MS / 1_000));
  assert.equal(found.has('webhook-signature'), false);
});
