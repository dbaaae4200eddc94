/** The identity commands through the real ones' functions, each on a database of its own. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseArgs } from 'node:util';
import { decodeJwt } from 'jose';
import { IDENTITY_COMMANDS } from './identity-commands.ts';

interface Shell {
  readonly cwd: string;
  readonly signals: EventEmitter;
  run(line: string): Promise<{ code: number; out: string; err: string }>;
}

function shell(t: { after(done: () => void): void }, env: Record<string, string> = {}): Shell {
  const cwd = mkdtempSync(join(tmpdir(), 'gatehouse-cli-'));
  t.after(() => rmSync(cwd, { recursive: true, force: true }));
  const signals = new EventEmitter();
  return {
    cwd,
    signals,
    async run(line) {
      const [name, ...args] = line.split(' ');
      const command = IDENTITY_COMMANDS.find((each) => each.name === name);
      assert.ok(command !== undefined);
      const { values, positionals } = parseArgs({ args, options: { ...command.options }, allowPositionals: true });
      let [out, err] = ['', ''];
      const code = await command.run({
        positionals,
        options: values,
        cwd,
        env,
        signals,
        exit: () => {},
        out: (text) => {
          out += text;
          signals.emit('printed', out);
        },
        err: (text) => {
          err += text;
        },
      });
      return { code, out, err };
    },
  };
}

describe('gatehouse user, token, key, audit, migrate', () => {
  test('an administrator is made with a password that is shown once', async (t) => {
    const { run } = shell(t);
    const made = await run('user create --email chief@example.com --username chief --admin --json');
    assert.equal(made.code, 0, made.err);
    const user = JSON.parse(made.out);
    assert.deepEqual(user.roles, ['user', 'admin']);
    assert.ok(user.password.length >= 20);
    assert.equal((await run('user create --email chief@example.com')).code, 5);
    const shown = await run('user show chief --json');
    assert.ok(!shown.out.includes(user.password));
    const disabled = await run('user disable chief');
    assert.deepEqual([disabled.code, /last administrator/.test(disabled.err)], [5, true]);
    assert.match((await run('user list')).out, /chief@example\.com/);
  });

  test('an account changes its plan for one that there is', async (t) => {
    const { run } = shell(t);
    await run('user create --email ada@example.com --username ada');
    const changed = await run('user plan ada --plan premium --json');
    assert.deepEqual([changed.code, JSON.parse(changed.out).plan], [0, 'premium']);
    const unknown = await run('user plan ada --plan platinum');
    assert.deepEqual([unknown.code, /standard, premium, enterprise/.test(unknown.err)], [5, true]);
    await assert.rejects(run('user plan ada'), /--plan is needed/);
  });

  test('plans are those of the configuration, also where accounts are made and tokens minted', async (t) => {
    for (const [document, list, usual] of [
      ['plans: { gold: { limits: [5/1m] }, iron: { limits: [1/1m] } }', 'gold, iron', 'gold'],
      ['plans: { gold: {}, iron: {} }\nlimits: { defaultPlan: iron }', 'gold, iron', 'iron'],
      ['plans: { gold: {} }\nidentity: { enabled: false, plans: [tin, gold] }', 'tin, gold', 'tin'],
      ['plans: { gold: {} }\nidentity: { enabled: true }', 'gold', 'gold'],
      ['plans: { premium: {} }', 'standard, premium, enterprise', 'standard'],
    ] as const) {
      const { cwd, run } = shell(t);
      writeFileSync(join(cwd, 'gatehouse.yaml'), document);
      const other = list.split(', ').at(-1);
      const made = await run('user create --username ann --json');
      assert.deepEqual([made.code, JSON.parse(made.out).plan], [0, usual], document);
      const named = await run(`user create --username bob --plan ${other} --json`);
      assert.deepEqual([named.code, JSON.parse(named.out).plan], [0, other], document);
      assert.equal((await run(`user plan ann --plan ${other}`)).code, 0, document);
      for (const line of ['user create --username eve --plan silver', 'user plan ann --plan silver']) {
        const refused = await run(line);
        assert.equal(refused.code, 5, `${document}: ${line}`);
        assert.equal(refused.err, `gatehouse: there is no plan "silver"; there are ${list}\n`);
      }
      assert.equal((await run('user show eve')).code, 5, 'refused as a whole');
      assert.equal((await run(`token --user ann --plan ${other}`)).code, 0, document);
      const token = await run('token --user ann --plan silver');
      assert.deepEqual([token.code, token.err.includes(`plan: must be one of ${list}`)], [5, true], token.err);
    }
  });

  test('a token is minted, checked by its claims, and revoked', async (t) => {
    const { run } = shell(t);
    const minted = await run('token --user user123 --scopes read,write --plan premium --mfa --ttl 2h --json');
    assert.equal(minted.code, 0, minted.err);
    const { accessToken, jti } = JSON.parse(minted.out);
    const claims = decodeJwt(accessToken);
    assert.deepEqual(
      [claims.sub, claims['scope'], claims['plan'], claims['mfa_verified'], (claims.exp ?? 0) - (claims.iat ?? 0)],
      ['user123', 'read write', 'premium', true, 7_200],
    );
    assert.equal((await run(`token revoke ${jti}`)).code, 0);
    assert.equal((await run(`token revoke ${jti}`)).code, 5);
    await assert.rejects(run('token --user a --ttl soon'), /--ttl/);
    assert.equal((await run('token --user a --ttl 90d')).code, 5, 'beyond maxMintTtl');
  });

  test('a key is made, listed, rotated and revoked', async (t) => {
    const { run } = shell(t);
    await run('user create --username bot --service');
    const made = JSON.parse((await run('key create --user bot --name ci --ttl 90d --json')).out);
    assert.match(made.key, /^ghk_/);
    const rotated = JSON.parse((await run(`key rotate ${made.id} --user bot --json`)).out);
    assert.notEqual(rotated.key, made.key);
    const listed = JSON.parse((await run('key list --user bot --json')).out);
    assert.deepEqual(
      listed.map((key: { id: string; revokedAt: string | null }) => [key.id, key.revokedAt === null]),
      [
        [made.id, false],
        [rotated.id, true],
      ],
    );
    assert.equal((await run(`key revoke ${rotated.id}`)).code, 0);
    assert.equal((await run('key create --user bot --name x --scopes identity:admin')).code, 5);
  });

  test('the audit log of all that is whole', async (t) => {
    const { run } = shell(t);
    await run('user create --username bot --service');
    const head = (await run('audit head')).out.trim();
    assert.match((await run(`audit verify --expect ${head}`)).out, /the chain is whole/);
    assert.match((await run('audit list')).out, /user\.created/);
    assert.equal((await run(`audit verify --expect 99:${'A'.repeat(43)}`)).code, 5);
  });

  test('migrate says what it did', async (t) => {
    const { run } = shell(t);
    assert.match((await run('migrate')).out, /applied 0001-accounts/);
    assert.match((await run('migrate')).out, /nothing to do/);
  });

  test('identity serves until a signal ends it', async (t) => {
    const { run, signals } = shell(t);
    const listening = new Promise<string>((done) => signals.on('printed', done));
    const running = run('identity --listen 127.0.0.1:0 --json');
    const { listening: url } = JSON.parse(await listening);
    const answer = await fetch(`${url}/.well-known/jwks.json`);
    assert.equal(((await answer.json()) as { keys: unknown[] }).keys.length, 1);
    signals.emit('SIGTERM');
    const { code, err } = await running;
    assert.equal(code, 0);
    assert.match(err, /There is no administrator yet/);
  });
});
