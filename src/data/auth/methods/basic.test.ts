import assert from 'node:assert/strict';
import { argon2Sync, scryptSync } from 'node:crypto';
import { test } from 'node:test';
import { FAULTS, Fault } from '../../../base/errors.ts';
import { auth } from '../../policies/auth.ts';
import { createPolicy, RecordingExchange, testEnvironment } from '../../policies/testing.ts';
import { authSettings } from '../testing.ts';
import { PasswordChecker } from './password.ts';
import { type PasswordHash, parsePasswordHash } from './password-file.ts';

const base64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

/** Cheap parameters: what is tested is the way of a password, not the strength of its hash. */
function argonLine(password: string): string {
  const nonce = Buffer.alloc(16, 5);
  const parameters = { message: password, nonce, memory: 64, passes: 1, parallelism: 1, tagLength: 32 };
  return `$argon2id$v=19$m=64,t=1,p=1$${base64(nonce)}$${base64(argon2Sync('argon2id', parameters))}`;
}

function scryptLine(password: string): string {
  const salt = Buffer.alloc(16, 6);
  return `$scrypt$ln=10,r=8,p=1$${base64(salt)}$${base64(scryptSync(password, salt, 32, { N: 1_024, r: 8, p: 1 }))}`;
}

const file = `alice:${argonLine('päss:word')} roles=admin\nbob:${scryptLine('secret')} plan=premium\n`;

function routeOf(cacheMs = 30_000) {
  const environment = testEnvironment({ secrets: { users: file } });
  const settings = authSettings({ basic: { users: 'users', cacheMs, cacheEntries: 100 }, hideCredentials: true });
  const hooks = createPolicy(auth, settings, environment);
  const send = async (authorization: string) => {
    const exchange = new RecordingExchange({ headers: { authorization } });
    const pending = hooks.authenticate?.(exchange);
    const isPromise = pending instanceof Promise;
    const outcome = await pending;
    return { exchange, isPromise, fault: outcome instanceof Fault ? outcome : null, identity: exchange.identity };
  };
  const login = (name: string, password: string) =>
    send(`Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`);
  return { hooks, send, login, environment };
}

test('a right password passes, by argon2id and by scrypt, also with colons and umlauts in it', async () => {
  const { login } = routeOf();
  const alice = await login('alice', 'päss:word');
  assert.equal(alice.identity?.subject, 'alice');
  assert.deepEqual(alice.identity?.roles, ['admin']);
  assert.equal(alice.exchange.upstreamHeaders.has('authorization'), false);
  assert.equal((await login('bob', 'secret')).identity?.plan, 'premium');
});

test('a known password is judged without hashing again, for 30 s', async () => {
  const { login, environment } = routeOf();
  assert.equal((await login('bob', 'secret')).isPromise, true);
  assert.equal((await login('bob', 'secret')).isPromise, false);
  assert.equal((await login('bob', 'wrong')).isPromise, true);
  assert.equal((await login('bob', 'wrong')).isPromise, false, 'a wrong one too');
  environment.clock.advance(30_000);
  assert.equal((await login('bob', 'secret')).isPromise, true);
});

test('a wrong password and an unknown user get one answer, and both cost a hash', async () => {
  const { login } = routeOf();
  const wrong = await login('alice', 'wrong');
  const unknown = await login('mallory', 'wrong');
  assert.equal(wrong.fault?.kind, FAULTS.invalidCredentials);
  assert.equal(wrong.fault, unknown.fault);
  assert.equal(unknown.isPromise, true);
  assert.deepEqual(wrong.fault?.headers, { 'WWW-Authenticate': 'Basic realm="test", charset="UTF-8"' });
});

test("an unknown user is not let in by the decoy's password", async () => {
  const { login } = routeOf();
  assert.equal((await login('mallory', 'päss:word')).identity, null);
  assert.equal((await login('', 'päss:word')).identity, null);
});

for (const [name, authorization] of [
  ['no colon', `Basic ${Buffer.from('alice').toString('base64')}`],
  ['no base64', 'Basic ???'],
  ['nothing after the scheme', 'Basic'],
  ['bytes that are not UTF-8', `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString('base64')}`],
  ['two credentials', 'Basic YTpi, Basic YTpi'],
  ['more than 2 kB', `Basic ${'A'.repeat(2_100)}`],
] as const) {
  test(`refuses ${name} at once`, async () => {
    const { send } = routeOf();
    const { fault, isPromise } = await send(authorization);
    assert.equal(fault?.kind, FAULTS.invalidCredentials);
    assert.equal(isPromise, false);
  });
}

test('another scheme is not its business', async () => {
  const { send } = routeOf();
  assert.equal((await send('Bearer x')).fault?.kind, FAULTS.authenticationRequired);
});

test('few passwords are checked at once, some wait, the rest are told to come back', async () => {
  const checker = new PasswordChecker();
  const hash = parsePasswordHash(argonLine('x')) as PasswordHash;
  const checks = Array.from({ length: 40 }, (_, index) => checker.check(index % 2 === 0 ? 'x' : 'y', hash));
  assert.equal(checks.filter((check) => check === null).length, 40 - 2 - 32);
  const results = await Promise.all(checks.filter((check) => check !== null));
  assert.deepEqual(
    results,
    results.map((_, index) => index % 2 === 0),
  );
  assert.equal(await checker.check('x', hash), true, 'and its places are free again');
});

test('a flood of different passwords ends in 503, not in a queue without end', async () => {
  const { login } = routeOf();
  const answers = await Promise.all(Array.from({ length: 60 }, (_, index) => login('alice', `guess-${index}`)));
  const unavailable = answers.filter(({ fault }) => fault?.kind === FAULTS.authenticationUnavailable).length;
  assert.equal(unavailable, 60 - 34);
});
