/** Where a session came from: by a database of places, by a trusted proxy's word, or unknown. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { IdentityInput } from '../../../src/control/identity/options.ts';
import { placeDatabase } from '../../support/place-database.ts';
import { makeBench, PASSWORD } from './harness.ts';

const PROXY = '203.0.113.9';

function databaseFile(t: TestContext, content: Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-places-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'places.mmdb');
  writeFileSync(file, content);
  return file;
}

const known = placeDatabase({
  '192.0.2.0/25': {
    city: { names: { en: 'Berlin', de: 'Berlin' } },
    country: { iso_code: 'DE', names: { en: 'Germany' } },
  },
  '198.51.100.0/24': { country: { iso_code: 'NZ' } },
});

/** The place of a new session of a caller at these addresses. */
async function placesOf(
  t: TestContext,
  place: NonNullable<IdentityInput['place']>,
  callers: readonly Record<string, string>[],
): Promise<unknown[]> {
  const bench = await makeBench({ place }, { trustProxy: [`${PROXY}/32`] });
  t.after(() => bench.close());
  await bench.member('olga');
  const places: unknown[] = [];
  for (const headers of callers) {
    const login = await bench.call('POST', '/login', { username: 'olga', password: PASSWORD }, undefined, headers);
    const { body } = await bench.call('GET', '/sessions', undefined, login.body.accessToken);
    places.push(body.sessions.find(({ current }: { current: boolean }) => current).place);
  }
  return places;
}

test('a database of places names city and country, or what it has of them', async (t) => {
  const callers = ['192.0.2.7', '192.0.2.200', '198.51.100.1', '2001:db8::1'];
  const places = await placesOf(
    t,
    { database: databaseFile(t, known) },
    callers.map((address) => ({ 'x-forwarded-for': address })),
  );
  assert.deepEqual(places, ['Berlin, Germany', null, 'NZ', null]);
});

test('a field counts when a trusted proxy sent it, and from nobody else', async (t) => {
  const places = await placesOf(t, { header: 'CF-IPCountry' }, [
    { 'x-forwarded-for': `192.0.2.7, ${PROXY}`, 'cf-ipcountry': 'DE' },
    { 'x-forwarded-for': '192.0.2.7', 'cf-ipcountry': 'DE' },
    { 'x-forwarded-for': `192.0.2.7, ${PROXY}`, 'cf-ipcountry': '<b>DE</b>' },
    { 'x-forwarded-for': `192.0.2.7, ${PROXY}` },
  ]);
  assert.deepEqual(places, ['DE', null, null, null]);
});

test('the place follows the session when it is refreshed elsewhere', async (t) => {
  const bench = await makeBench({ place: { database: databaseFile(t, known) } });
  t.after(() => bench.close());
  const { refreshToken } = await bench.member('olga');
  const there = { 'x-forwarded-for': '198.51.100.1' };
  const next = await bench.call('POST', '/refresh', { refreshToken }, undefined, there);
  const { body } = await bench.call('GET', '/sessions', undefined, next.body.accessToken);
  assert.deepEqual([body.sessions[0].address, body.sessions[0].place], ['198.51.100.1', 'NZ']);
});

test('a file that is none stops the start and is named', async (t) => {
  const file = databaseFile(t, Buffer.from('this is no database of places'));
  for (const database of [file, `${file}.missing`])
    await assert.rejects(
      makeBench({ place: { database } }),
      /identity\.place\.database: .*places\.mmdb.* cannot be used/,
    );
});
