/** `gatehouse limits` as gateways meet it: who may ask, what is answered, and what it refuses to start with. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { CommandLine } from './command-line.suite.ts';
import { commandLine } from './command-line.suite.ts';

let cli: CommandLine;
beforeEach(() => {
  cli = commandLine();
});
afterEach(() => cli.remove());

function write(more: object = {}): void {
  const document = {
    gateway: { dataDir: './data' },
    plans: { basic: { limits: ['60/1m'], quotas: { stories: 5 } } },
    limits: { defaultPlan: 'basic' },
    quotas: { stories: { per: 'day' } },
    abuse: {},
    ...more,
  };
  writeFileSync(join(cli.folder, 'gatehouse.json'), JSON.stringify(document));
}

async function started(...args: string[]) {
  const ended = cli.run('limits', '--json', '--listen', '127.0.0.1:0', ...args);
  const printed = once(cli.signals, 'printed', { signal: AbortSignal.timeout(20_000) });
  const first = await Promise.race([printed, ended]);
  assert.ok(Array.isArray(first), JSON.stringify(first));
  const { listening } = JSON.parse(cli.printed().split('\n')[0] ?? '') as { listening: string };
  const call = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(listening + path, {
      ...init,
      headers: { connection: 'close', 'content-type': 'application/json', ...headers },
    });
  return { ended, call };
}

const family = { 'x-auth-subject': 'ada', 'x-auth-plan': 'basic' };
const admin = { 'x-auth-subject': 'root', 'x-auth-roles': 'admin' };

test('it answers usage, plans and bans to whom gateways name, and ends with 0 on SIGTERM', async () => {
  write();
  const { ended, call } = await started();
  assert.equal((await call('/api/v1/usage')).status, 401, 'nobody is named');
  const usage = (await (await call('/api/v1/usage', family)).json()) as { account: string; quotas: object[] };
  assert.equal(usage.account, 'ada');
  assert.partialDeepStrictEqual(usage.quotas, [{ quota: 'stories', used: 0, limit: 5, remaining: 5 }]);
  assert.equal((await call('/api/v1/usage?account=bo', family)).status, 403);
  assert.equal((await call('/api/v1/usage?account=bo', admin)).status, 200);

  const ban = { kind: 'address', subject: '192.0.2.1', reason: 'scans', for: '1h' };
  assert.equal((await call('/api/v1/bans', family)).status, 403);
  const made = await call('/api/v1/bans', admin, { method: 'POST', body: JSON.stringify(ban) });
  assert.equal(made.status, 201);
  const { bans } = (await (await call('/api/v1/bans', admin)).json()) as {
    bans: { subject: string; made_by: string }[];
  };
  assert.deepEqual(
    bans.map(({ subject, made_by }) => [subject, made_by]),
    [['192.0.2.1', 'root']],
  );

  const { plans } = (await (await call('/.well-known/gatehouse/plans')).json()) as { plans: { name: string }[] };
  assert.ok(plans.some(({ name }) => name === 'basic'));
  assert.deepEqual(await (await call('/health')).json(), { status: 'ok', dependencies: [] });
  assert.match(await (await call('/metrics')).text(), /^gatehouse_bans_active 1$/m);
  cli.signals.emit('SIGTERM');
  assert.equal((await ended).code, 0);
});

test('from another address than the named ones nothing is answered but health and metrics', async () => {
  write();
  const { ended, call } = await started('--from', '127.0.0.2,192.0.2.0/24');
  assert.equal((await call('/api/v1/usage', admin)).status, 403);
  assert.equal((await call('/.well-known/gatehouse/plans')).status, 403);
  assert.equal((await call('/health')).status, 200);
  assert.equal((await call('/metrics')).status, 200);
  cli.signals.emit('SIGTERM');
  assert.equal((await ended).code, 0);
});

test('it listens beyond loopback only if it knows the gateways', async () => {
  write();
  const { code, err } = await cli.run('limits', '--listen', '0.0.0.0:0');
  assert.equal(code, 2);
  assert.match(err, /--from is needed with 0\.0\.0\.0/);
});

const wrong = [
  { args: ['--listen', 'here'], code: 2, says: /--listen must read HOST:PORT, not "here"/ },
  { args: ['--listen', '127.0.0.1:70000'], code: 2, says: /--listen must read HOST:PORT/ },
  { args: ['--from', '10.0.0.0/40'], code: 2, says: /--from takes addresses and CIDR blocks, not "10\.0\.0\.0\/40"/ },
  { args: ['extra'], code: 2, says: /extra/ },
  { args: ['--config', 'none.yaml'], code: 1, says: /none\.yaml/ },
];
for (const { args, code, says } of wrong) {
  test(`limits ${args.join(' ')} is refused with ${code}`, async () => {
    write();
    const result = await cli.run('limits', ...args);
    assert.equal(result.code, code, result.err);
    assert.match(result.err, says);
  });
}

test('a database that cannot be opened stops it with 5 and a word', async () => {
  write({ stores: { sql: `sqlite:${join(cli.folder, 'gatehouse.json')}/no/usage.db` } });
  const { code, err } = await cli.run('limits', '--listen', '127.0.0.1:0');
  assert.equal(code, 5, err);
  assert.match(err, /^gatehouse: /m);
});
