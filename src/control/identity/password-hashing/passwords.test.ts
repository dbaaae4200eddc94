import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { identityOptions } from '../options.ts';
import { Problem } from '../problem.ts';
import { isCommonPassword } from './common.ts';
import { PasswordHasher } from './hasher.ts';
import { checkNewPassword } from './policy.ts';
import { Semaphore } from './semaphore.ts';

const options = identityOptions.parse({ passwords: { memory: '8mb', passes: 1 } }).passwords;
const isBusy = (error: unknown): boolean => error instanceof Problem && error.status === 503;

describe('the semaphore', () => {
  test('runs no more than it may, in order, and hands its place on', async () => {
    const semaphore = new Semaphore(2, 10, 60_000);
    let running = 0;
    let most = 0;
    const order: number[] = [];
    const task = (i: number) => async (): Promise<void> => {
      most = Math.max(most, ++running);
      await new Promise((done) => setImmediate(done));
      order.push(i);
      running--;
    };
    await Promise.all([0, 1, 2, 3, 4, 5].map((i) => semaphore.run(task(i))));
    assert.equal(most, 2);
    assert.deepEqual(order, [0, 1, 2, 3, 4, 5]);
    assert.deepEqual([semaphore.running, semaphore.queued], [0, 0]);
  });

  test('refuses beyond its queue with 503 and goes on afterwards', async () => {
    const semaphore = new Semaphore(1, 1, 60_000);
    let finish: () => void = () => {};
    const first = semaphore.run(() => new Promise<void>((done) => (finish = done)));
    const second = semaphore.run(async () => 'second');
    await assert.rejects(
      semaphore.run(async () => 'third'),
      isBusy,
    );
    finish();
    await first;
    assert.equal(await second, 'second');
    assert.equal(await semaphore.run(async () => 'later'), 'later');
  });

  test('an address holds its share of the queue, and places go round the addresses', async () => {
    const semaphore = new Semaphore(1, 8, 60_000, 4);
    let finish: () => void = () => {};
    const first = semaphore.run(() => new Promise<void>((done) => (finish = done)), { key: 'flood' });
    const order: string[] = [];
    const enter = (name: string, key: string) => semaphore.run(async () => void order.push(name), { key });
    const flood = [1, 2, 3, 4].map((i) => enter(`f${i}`, 'flood'));
    await assert.rejects(enter('f5', 'flood'), isBusy);
    const others = [enter('a1', 'a'), enter('a2', 'a'), enter('b1', 'b')];
    finish();
    await Promise.all([first, ...flood, ...others]);
    assert.deepEqual(order, ['f1', 'a1', 'b1', 'f2', 'a2', 'f3', 'f4']);
    assert.deepEqual([semaphore.running, semaphore.queued], [0, 0]);
  });

  test('a waiter whose time is over or whose caller went leaves the queue', async () => {
    const semaphore = new Semaphore(1, 5, 20);
    let finish: () => void = () => {};
    const first = semaphore.run(() => new Promise<void>((done) => (finish = done)));
    const gone = new AbortController();
    const left = semaphore.run(async () => 'left', { signal: gone.signal });
    gone.abort();
    await assert.rejects(left, isBusy);
    await assert.rejects(
      semaphore.run(async () => 'late'),
      isBusy,
    );
    assert.equal(semaphore.queued, 0);
    finish();
    await first;
  });

  test('a task that throws gives its place back', async () => {
    const semaphore = new Semaphore(1, 1, 60_000);
    await assert.rejects(
      semaphore.run(async () => {
        throw new Error('no');
      }),
      /no/,
    );
    assert.equal(await semaphore.run(async () => 'next'), 'next');
  });
});

describe('the hasher', () => {
  const hasher = new PasswordHasher(options);

  test('tells right from wrong, composed like decomposed, and never matches nothing', async () => {
    const stored = await hasher.hash('caf\u00e9 au lait');
    assert.match(stored, /^\$argon2id\$v=19\$m=8192,t=1,p=1\$/);
    assert.deepEqual(await hasher.check('cafe\u0301 au lait', stored), { matches: true, outdated: false });
    assert.equal((await hasher.check('Caf\u00e9 au lait', stored)).matches, false);
    assert.equal((await hasher.check('anything', null)).matches, false);
    assert.equal((await hasher.check('anything', 'not a hash')).matches, false);
  });

  test('sees that a hash was made with other parameters', async () => {
    const stored = await new PasswordHasher({ ...options, passes: 2 }).hash('caf\u00e9 au lait');
    assert.deepEqual(await hasher.check('caf\u00e9 au lait', stored), { matches: true, outdated: true });
  });

  test('two hashes of one password differ', async () => {
    assert.notEqual(await hasher.hash('the same words'), await hasher.hash('the same words'));
  });
});

describe('new passwords', () => {
  const common = [
    'password',
    'Passw0rd123',
    'qwertyuiop',
    '1234567890',
    'Summer2026!',
    'iloveyoumonkey',
    'abcabcabcabc',
    'P@ssword!!',
    '0987654321',
    'aaaaaaaaaa',
    'welcomeadmin1',
    'letmein12345',
    '1q2w3e4r5t6y',
    'correct horse battery staple',
  ];
  for (const password of common) test(`"${password}" is common`, () => assert.equal(isCommonPassword(password), true));
  for (const password of [
    'ancient walrus paints 9 fences',
    'Tr1cky-Otter-Bench',
    'mzkqpwvxtr',
    'grandmother knits quietly',
  ]) {
    test(`"${password}" is not`, () => assert.equal(isCommonPassword(password), false));
  }

  const bad: { name: string; password: string; names?: string[] }[] = [
    { name: 'too short', password: 'abc123xyz' },
    { name: 'too long', password: 'ab1!'.repeat(65) },
    { name: 'three letters over and over', password: 'abcbcacabbca' },
    { name: 'the own name', password: 'wilhelmina99', names: ['wilhelmina@example.com'] },
  ];
  for (const { name, password, names = [] } of bad) {
    test(`${name} is refused without being repeated`, () => {
      assert.throws(
        () => checkNewPassword(password, names, options),
        (error) =>
          error instanceof Problem &&
          error.more.fields?.[0]?.field === 'password' &&
          !JSON.stringify(error.more).includes(password),
      );
    });
  }
  test('length is counted in characters, not in units of UTF-16', () => {
    assert.throws(() => checkNewPassword('😀😃😄😁😆😅', [], options));
  });

  test('each rule that has a switch can be switched off, and only that one', () => {
    const short = { ...options, minLength: 8 };
    const refused = (rules: typeof options): string | undefined => {
      try {
        checkNewPassword('admin123', ['admin'], rules);
        return undefined;
      } catch (error) {
        return (error as Problem).more.fields?.[0]?.expected;
      }
    };
    assert.match(refused(short) ?? '', /own name/);
    assert.match(refused({ ...short, refuseNames: false }) ?? '', /common/);
    assert.match(refused({ ...short, refuseCommon: false }) ?? '', /own name/);
    assert.equal(refused({ ...short, refuseCommon: false, refuseNames: false }), undefined);
  });
});
