/** What answers say about the version of their route. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { version } from '../../../test/support/route-settings.ts';
import type { RouteVersion } from '../contract/snapshot.ts';
import { versionFields, versionPairs } from './versions.ts';

const SUNSET = 'Sun, 30 Jun 2024 23:59:59 GMT';
const header = { kind: 'header', header: 'x-api-version' } as const;

test('RFC 9745 §2.1, RFC 8594 §3: Deprecation, Sunset, Link and Vary as the version asks for them', () => {
  const rows: { name: string; version: RouteVersion | null; want: string[] }[] = [
    { name: 'none', version: null, want: [] },
    { name: 'by path', version: version('1', { kind: 'path' }), want: [] },
    {
      name: 'deprecated',
      version: version('1', { kind: 'path' }, { deprecatedAtSeconds: 1_688_169_599, link: 'https://a.test/d' }),
      want: ['Deprecation: @1688169599', 'Link: <https://a.test/d>; rel="deprecation"'],
    },
    {
      name: 'ending',
      version: version('1', { kind: 'path' }, { sunset: SUNSET, link: '/ends' }),
      want: [`Sunset: ${SUNSET}`, 'Link: </ends>; rel="sunset"'],
    },
    {
      name: 'all, by header',
      version: version('1', header, { deprecatedAtSeconds: 1.9, sunset: SUNSET, link: '/d' }),
      want: ['Deprecation: @1', `Sunset: ${SUNSET}`, 'Link: </d>; rel="deprecation"', 'Vary: x-api-version'],
    },
    {
      name: 'by Accept, with documentation',
      version: version('1', { kind: 'accept', mediaType: 'application/json' }, { link: '/docs' }),
      want: ['Link: </docs>; rel="service-doc"', 'Vary: Accept'],
    },
  ];
  for (const { name, version: given, want } of rows) {
    assert.deepEqual(
      versionPairs(given).map((field) => field.join(': ')),
      want,
      name,
    );
    assert.equal(versionFields(given)?.lines ?? '', want.map((line) => `${line}\r\n`).join(''), name);
  }
});

test('a value that would break the line is a mistake of the program', () => {
  assert.throws(() => versionFields(version('1', header, { link: '/a\r\nX: y' })), TypeError);
});
