import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { test } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { Names } from './names.ts';

const at = (address: string): LookupAddress[] => [{ address, family: 4 }];

/** A resolver that answers when the test says so. */
function slowSystem() {
  const clock = new FakeClock();
  const open: { name: string; answer(error: Error | null, addresses: LookupAddress[]): void }[] = [];
  const names = new Names((name, answer) => void open.push({ name, answer: answer as never }), clock);
  const find = (name: string): Promise<string> =>
    new Promise((resolve) => names.find(name, (error, addresses) => resolve(error?.message ?? addresses[0]!.address)));
  return { clock, open, names, find };
}

test('a name is asked for once, whoever waits for it, and remembered', async () => {
  const { open, find } = slowSystem();
  const both = Promise.all([find('a'), find('a')]);
  assert.equal(open.length, 1);
  open[0]!.answer(null, at('192.0.2.1'));
  assert.deepEqual(await both, ['192.0.2.1', '192.0.2.1']);
  assert.equal(await find('a'), '192.0.2.1');
  assert.equal(open.length, 1);
});

test('names whose server is silent occupy two threads, and those that are known go on', async () => {
  const { clock, open, find } = slowSystem();
  const first = find('known');
  open[0]!.answer(null, at('192.0.2.1'));
  await first;
  clock.advance(10_000);
  for (const name of ['b', 'c', 'd', 'e']) void find(name);
  assert.equal(await find('known'), '192.0.2.1', 'old, and better than waiting');
  assert.deepEqual(
    open.slice(1).map(({ name }) => name),
    ['b', 'c'],
  );
  open[1]!.answer(new Error('ETIMEOUT'), []);
  assert.equal(open[3]!.name, 'd');
});

test('an answer that fails leaves what was known in use', async () => {
  const { clock, open, find } = slowSystem();
  const first = find('a');
  open[0]!.answer(null, at('192.0.2.1'));
  await first;
  clock.advance(10_000);
  assert.equal(await find('a'), '192.0.2.1');
  open[1]!.answer(new Error('ESERVFAIL'), []);
  assert.equal(await find('a'), '192.0.2.1');
  assert.equal(open.length, 2);
});

test('a name whose addresses do not work is asked for at once, at most every second, and its new answer is used', async () => {
  const { clock, open, names, find } = slowSystem();
  const first = find('a');
  open[0]!.answer(null, at('192.0.2.1'));
  await first;
  names.failed('a');
  assert.equal(await find('a'), '192.0.2.1', 'it was asked for just now');
  clock.advance(1_000);
  names.failed('a');
  const next = find('a');
  assert.equal(open.length, 2);
  open[1]!.answer(null, at('192.0.2.2'));
  assert.equal(await next, '192.0.2.2');
  clock.advance(1_000);
  names.failed('a');
  assert.equal(await find('a'), '192.0.2.2', 'after a moment without an answer');
});

test('one address, or those of one family, for who asks for that; none is an error', async () => {
  const { open, names } = slowSystem();
  const both = [...at('192.0.2.1'), { address: '::1', family: 6 }];
  const ask = (options: object): Promise<unknown[]> =>
    new Promise((resolve) => names.lookup('a', options as never, ((...told: unknown[]) => resolve(told)) as never));
  const first = ask({ all: true });
  open[0]!.answer(null, both);
  assert.deepEqual(await first, [null, both]);
  assert.deepEqual(await ask({ family: 6 }), [null, '::1', 6]);
  assert.deepEqual(await ask({ all: true, family: 4 }), [null, at('192.0.2.1')]);
  const none = new Names((_name, answer) => answer(null, []));
  await new Promise<void>((resolve) =>
    none.lookup('a', {}, ((error: NodeJS.ErrnoException) => {
      assert.equal(error.code, 'ENOTFOUND');
      resolve();
    }) as never),
  );
});
