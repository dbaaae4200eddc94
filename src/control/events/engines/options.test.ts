import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SectionContext } from '../../config/section.ts';
import { compileEngines, engineSchema } from './options.ts';

/** Where something is wrong, by the keys that lead there. */
function problemsOf(engines: Readonly<Record<string, { url: string | string[] }>>): string[] {
  const found: string[] = [];
  const context = {
    problem: (_message: string, { at }: { at: readonly string[] }) => void found.push(at.join('.')),
    secret: (id: string) => id,
  } as unknown as SectionContext;
  const read = Object.entries(engines).map(([name, options]) => [name, engineSchema.parse(options)] as const);
  compileEngines(Object.fromEntries(read), context);
  return found;
}

test('brokers that can be used are taken', () => {
  const urls = [
    'nats://127.0.0.1:4222',
    ['nats://a:1', 'nats://b:2'],
    'redis+cluster://a:1,b:2',
    'amqps://u:p@h',
    'kafka://127.0.0.1:9092',
    ['kafka+tls://u:p@a', 'kafka+tls://u:p@b:1'],
    'kafka://u:p@[::1]:9092?mechanism=PLAIN',
  ];
  for (const url of urls) assert.deepEqual(problemsOf({ broker: { url } }), [], String(url));
});

test('what the client of a broker would refuse at its start is refused by check', () => {
  const wrong = [['nats://a:1', 'kafka://b:2'], ['redis://a:1', 'redis://b:2'], 'kafka://u:p@a:1?mechanism=GSSAPI'];
  for (const url of wrong) assert.deepEqual(problemsOf({ broker: { url } }), ['engines.broker.url'], String(url));
  for (const url of ['kafka://a:99999', 'kafka://[::1', 'nats://u:p/w@a:1', 'amqp://u:p@a:1/x@y'])
    assert.equal(engineSchema.safeParse({ url }).success, false, url);
  assert.deepEqual(problemsOf({ embedded: { url: 'nats://a:1' } }), ['engines.embedded']);
});
