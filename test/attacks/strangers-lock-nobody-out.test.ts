/**
 * Rule: a stranger's wrong guesses delay the stranger. Who owns the account gets in from a device or an address that it
 * knows, from any other address until guessing comes from very many, and always by a passkey or by a reset.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Answer, type Bench, makeBench, PASSWORD } from '../integration/identity/harness.ts';
import { SoftwareAuthenticator } from '../integration/identity/software-authenticator.ts';

type Cleanup = { after(done: () => Promise<void>): void };

async function benchFor(t: Cleanup, lockout: object = {}, more: object = {}): Promise<Bench> {
  const bench = await makeBench({
    ...more,
    lockout: { freeAttempts: 3, firstDelay: '10m', maxDelay: '10m', addressAttempts: 10_000, ...lockout },
    publicUrl: 'https://accounts.example',
  });
  t.after(() => bench.close());
  return bench;
}

const signIn = (bench: Bench, password: string, address: string, cookie?: string): Promise<Answer> =>
  bench.call('POST', '/login', { username: 'owner', password }, undefined, {
    'x-forwarded-for': address,
    ...(cookie === undefined ? {} : { cookie }),
  });

const deviceOf = (answer: Answer): string => answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';

describe('strangers lock nobody out', () => {
  test('guesses from one address delay that address only', async (t) => {
    const bench = await benchFor(t, {});
    await bench.member('owner');
    for (let i = 0; i < 10; i++) assert.equal((await signIn(bench, 'wrong', '203.0.113.9')).status, 401);
    assert.equal((await signIn(bench, PASSWORD, '203.0.113.9')).status, 401, 'the guesser is delayed');
    assert.equal((await signIn(bench, PASSWORD, '198.51.100.4')).status, 200, 'the owner, from anywhere else, is not');
  });

  test('guesses from many addresses do not delay a known device or address, a passkey or a reset', async (t) => {
    const bench = await benchFor(t, { accountAttempts: 20 });
    const member = await bench.member('owner');
    const authenticator = new SoftwareAuthenticator('https://accounts.example');
    const cookie = deviceOf(await signIn(bench, PASSWORD, '198.51.100.4'));
    assert.match(cookie, /^gh_device=/);
    const offered = await bench.call('POST', '/mfa/passkeys/options', undefined, member.accessToken);
    assert.equal(offered.status, 200, JSON.stringify(offered.body));
    const response = authenticator.create(offered.body);
    const added = await bench.call('POST', '/mfa/passkeys', { name: 'key', response }, member.accessToken);
    assert.equal(added.status, 201, JSON.stringify(added.body));
    for (let i = 0; i < 40; i++) assert.equal((await signIn(bench, 'wrong', `203.0.113.${i}`)).status, 401);
    assert.equal((await signIn(bench, PASSWORD, '198.51.100.77')).status, 401, 'a stranger with the right one waits');
    assert.equal((await signIn(bench, PASSWORD, '198.51.100.77', cookie)).body.reason, 'mfa_required', 'the device');
    assert.equal((await signIn(bench, PASSWORD, '192.0.2.7')).body.reason, 'mfa_required', 'the address');
    const challenge = await bench.call('POST', '/passkeys/challenge');
    const passkey = authenticator.get(challenge.body);
    const entered = await bench.call('POST', '/login/passkey', { passkey }, undefined, {
      'x-forwarded-for': '198.51.100.78',
    });
    assert.equal(entered.status, 200, JSON.stringify(entered.body));
    assert.equal((await bench.call('POST', '/login/passkey', { passkey })).status, 401, 'the challenge was used');
    await bench.call('POST', '/password/forgot', { email: member.email });
    const token = await bench.mailedCode(member.email, 'new password');
    assert.equal((await bench.call('POST', '/password/reset', { token, newPassword: `${PASSWORD} new` })).status, 200);
  });

  test('a known device that guesses is delayed itself', async (t) => {
    const bench = await benchFor(t, {});
    await bench.member('owner');
    const cookie = deviceOf(await signIn(bench, PASSWORD, '198.51.100.4'));
    for (let i = 0; i < 3; i++) await signIn(bench, 'wrong', `198.51.100.${10 + i}`, cookie);
    assert.equal((await signIn(bench, PASSWORD, '198.51.100.20', cookie)).status, 401);
    assert.equal((await signIn(bench, PASSWORD, '198.51.100.20')).status, 200);
  });

  test('the cookie of another account, an invented or a cut one knows nothing', async (t) => {
    const bench = await benchFor(t, { accountAttempts: 5 });
    await bench.member('owner');
    await bench.member('other');
    const own = deviceOf(await signIn(bench, PASSWORD, '198.51.100.4'));
    const foreign = deviceOf(
      await bench.call('POST', '/login', { username: 'other', password: PASSWORD }, undefined, {
        'x-forwarded-for': '198.51.100.5',
      }),
    );
    for (let i = 0; i < 10; i++) await signIn(bench, 'wrong', `203.0.113.${i}`);
    const spoiled = `${own.slice(0, -1)}${own.endsWith('A') ? 'B' : 'A'}`;
    for (const cookie of [foreign, own.slice(0, -2), spoiled, 'gh_device=x', `gh_device=${'a'.repeat(200)}`]) {
      assert.equal((await signIn(bench, PASSWORD, '198.51.100.77', cookie)).status, 401, cookie);
    }
    assert.equal((await signIn(bench, PASSWORD, '198.51.100.77', own)).status, 200);
  });

  test('many wrong guesses send few emails to the owner', async (t) => {
    const bench = await benchFor(t, {});
    const member = await bench.member('owner');
    for (let address = 0; address < 12; address++) {
      for (let i = 0; i < 4; i++) await signIn(bench, 'wrong', `203.0.113.${address}`);
    }
    const mails = (await bench.mails()).filter(
      (mail) => mail.includes(member.email) && mail.includes('failed sign-ins'),
    );
    assert.ok(mails.length >= 1 && mails.length <= 5, `${mails.length} emails`);
  });
});

describe('limits hold in a burst', () => {
  test('of 60 guesses at once from one address no more are tried than it may, and right ones cost nothing', async (t) => {
    const lockout = { addressAttempts: 20, freeAttempts: 100, accountAttempts: 1_000 };
    const bench = await benchFor(t, lockout, { passwords: { parallel: 4, maxQueued: 1_000 } });
    await bench.member('owner');
    const from = { 'x-forwarded-for': '203.0.113.9' };
    const login = (password: string) => bench.call('POST', '/login', { username: 'owner', password }, undefined, from);
    for (let i = 0; i < 25; i++) assert.equal((await login(PASSWORD)).status, 200);
    const statuses = (await Promise.all(Array.from({ length: 60 }, () => login('wrong')))).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 401).length, 20);
    assert.ok(statuses.every((status) => [401, 429, 503].includes(status)));
    assert.equal((await login(PASSWORD)).status, 429);
  });

  test('nor of tickets, codes and links', async (t) => {
    const bench = await benchFor(t, { addressAttempts: 10 });
    const bodies: readonly [string, object][] = [
      ['/login/mfa', { mfaTicket: 'made-up-made-up-made-up', code: '123456' }],
      ['/password/reset', { token: 'made-up-made-up-made-up', newPassword: PASSWORD }],
      ['/verify-email', { token: 'made-up-made-up-made-up', password: PASSWORD }],
      ['/setup', { token: 'made-up-made-up-made-up', email: 'x@example.com', password: PASSWORD }],
    ];
    for (const [index, [path, body]] of bodies.entries()) {
      const from = { 'x-forwarded-for': `203.0.113.${100 + index}` };
      const answers = await Promise.all(
        Array.from({ length: 40 }, () => bench.call('POST', path, body, undefined, from)),
      );
      assert.equal(answers.filter(({ status }) => status !== 429).length, 10, path);
    }
  });
});

describe('emails that strangers can cause', () => {
  test('go out after the response, which is the same and made of the same for an address that nobody has', async (t) => {
    const bench = await benchFor(t);
    const { email } = await bench.member('owner');
    const { background, store } = bench.identity.context;
    const waiting: (() => Promise<void>)[] = [];
    background.run = (task) => void waiting.push(task);
    let statements = 0;
    const executor = store.db.getExecutor();
    const real = executor.executeQuery.bind(executor);
    executor.executeQuery = (...args) => {
      statements++;
      return real(...args);
    };
    const ask = async (to: string) => {
      statements = 0;
      const { status, body, headers } = await bench.call('POST', '/password/forgot', { email: to });
      const fields = [...headers].filter(([name]) => name !== 'x-request-id');
      return { status, body, fields, statements };
    };
    const known = await ask(email);
    assert.deepEqual(await ask('nobody@example.com'), known);
    assert.equal(known.status, 202);
    assert.equal(waiting.length, 2, 'what tells the two apart comes after the response');
  });

  test('are five an hour to one mailbox, however its address is written', async (t) => {
    const bench = await benchFor(t);
    const register = (email: string) => bench.call('POST', '/register', { email, password: PASSWORD });
    for (const email of ['box@example.com', 'box+1@example.com', 'BOX+2@example.com', 'b.o.x@gmail.com'])
      for (let i = 0; i < 4; i++) assert.equal((await register(email)).status, 202);
    for (const email of ['bo.x@gmail.com', 'box+x@googlemail.com', 'B.ox@GoogleMail.com'])
      for (let i = 0; i < 4; i++) assert.equal((await register(email)).status, 202);
    const to = (await bench.mails()).map((mail) => /To: (.*)\r/.exec(mail)?.[1]?.toLowerCase() ?? '');
    assert.equal(to.filter((address) => address.endsWith('@example.com')).length, 5);
    assert.equal(to.filter((address) => /@g(oogle)?mail\.com$/.test(address)).length, 5);
  });
});
