import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../base/log.ts';
import type { Compiled } from '../config/compile.ts';
import { SecurityJournal } from '../security-journal.ts';
import { securityEventsFeature } from './feature.ts';
import type { SecurityEventsPlan } from './section.ts';

const compiled = (securityEvents: SecurityEventsPlan | null): Compiled =>
  ({ plan: { gateway: { securityEvents } } }) as unknown as Compiled;
const STDOUT: SecurityEventsPlan = { file: null, leftOut: [], rotation: null };

function bench() {
  const written: string[] = [];
  const wanted: unknown[] = [];
  const pending: (() => void)[] = [];
  const security = new SecurityJournal(() => 0);
  const feature = securityEventsFeature({
    log: createLogger('silent'),
    security,
    bus: { publish: (_topic, data) => void wanted.push(data), onTell: () => {}, onAsk: () => {} },
    writeStdout(lines, done) {
      written.push(...Buffer.from(lines).toString().trimEnd().split('\n'));
      pending.push(done);
    },
  });
  return { feature, security, written, wanted, pending };
}

const countOf = (feature: ReturnType<typeof bench>['feature'], name: string): number =>
  Number(
    (feature.metrics?.() ?? [])
      .find((each) => each.name === name)
      ?.samples.reduce((sum, sample) => sum + ('value' in sample ? sample.value : 0), 0),
  );

test('on standard output each line says that it is one of security, without what is empty', async () => {
  const { feature, security, written } = bench();
  await feature.start?.(compiled(STDOUT));
  security.tell('login.failed', { actor: 'anonymous', target: '', address: undefined, locked: false });
  await feature.stop?.();
  assert.deepEqual(written, [
    '{"time":"1970-01-01T00:00:00.000Z","log":"security","event":"login.failed","actor":"anonymous","locked":false}',
  ]);
});

test('a slow disk and a flood lose events that are counted, and the next line tells how many', async () => {
  const { feature, security, written, pending } = bench();
  await feature.start?.(compiled(STDOUT));
  const large = 'x'.repeat(5 * 1024 ** 2);
  security.tell('one', { large });
  while (pending.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  // Five megabytes are on their way and do not arrive.
  for (let i = 0; i < 10; i++) security.tell('lost', {});
  assert.equal(countOf(feature, 'gatehouse_security_events_dropped_total'), 10);
  assert.equal(countOf(feature, 'gatehouse_security_events_total'), 11);
  for (const done of pending) done();
  security.tell('next', {});
  await feature.stop?.();
  assert.match(written.at(-1) ?? '', /"event":"next","left_out_before":10\}$/);
});

test('workers are asked only while the stream is wanted, also after a reload', async () => {
  const { feature, security, written, wanted } = bench();
  await feature.start?.(compiled(null));
  security.tell('unheard', {});
  feature.applied?.(compiled(STDOUT));
  security.tell('heard', {});
  feature.applied?.(compiled(null));
  security.tell('unheard', {});
  await feature.stop?.();
  assert.deepEqual(wanted, [true, false]);
  assert.equal(written.length, 1);
  assert.match(written[0] ?? '', /"event":"heard"/);
  assert.deepEqual(feature.metrics?.(), []);
});
