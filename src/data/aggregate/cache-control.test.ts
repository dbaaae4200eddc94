import assert from 'node:assert/strict';
import { test } from 'node:test';
import { weakest } from './cache-control.ts';

for (const [parts, isPersonal, wanted] of [
  [['private, max-age=9, must-revalidate', 'max-age=5'], false, 'private, max-age=5, must-revalidate'],
  [['max-age=9, must-revalidate'], true, 'private, max-age=9, must-revalidate'],
  [['public, max-age=9, must-revalidate', 'public, s-maxage=5'], false, 'public, max-age=5, must-revalidate'],
  // It would open the second one's response to credentials (RFC 9111 §3.5).
  [['max-age=9, must-revalidate', 'max-age=5'], false, 'max-age=5, proxy-revalidate'],
] as const)
  test(`RFC 9111 §5.2.2: of ${parts.join(' and ')}${isPersonal ? ' for one caller' : ''} a composition is ${wanted}`, () => {
    assert.equal(weakest(parts, isPersonal), wanted);
  });
