/**
 * `gatehouse cluster ...` against a real gateway: status, nodes, labels, tasks, messages, tokens, rollouts, history.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { joinCluster } from '../../src/cluster-client/index.ts';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

const ROOT = 'root-key-0123456789abcdef0123456789';
const PATIENCE_MS = 30_000;

test('each command of the cluster does what it says, and says what went wrong', async (t) => {
  const gateway = await startTestGateway(
    t,
    {
      cluster: { name: 'test', node: 'one', heartbeat: '300ms', rollout: { watch: '0s', waves: ['100%'] } },
      routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200, body: 'own' } }],
    },
    { API_KEY_1: `${ROOT}:root:cluster:admin:premium` },
  );
  const cli = commandLine();
  t.after(() => cli.remove());
  const cluster = (...args: string[]) =>
    cli.run('cluster', ...args, '--socket', join(gateway.folder, 'gatehouse.sock'));
  const says = async (pattern: RegExp, ...args: string[]): Promise<string> => {
    const { code, out, err } = await cluster(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${err}`);
    assert.match(out, pattern, args.join(' '));
    return out;
  };
  await until(async () => /queen: one/.test((await cluster('status')).out), 'there is a queen', PATIENCE_MS);

  const joinToken = (await says(/^ghj_/, 'token', '--label', 'tier=words')).trim();
  const heard: unknown[] = [];
  const worker = await joinCluster({
    url: gateway.url,
    joinToken,
    name: 'w1',
    run: ({ payload }) => {
      if (payload === null) throw Object.assign(new Error('there is no text'), { final: true });
      return { words: String(payload).split(' ').length };
    },
    onMessage: ({ topic, body }) => void heard.push([topic, body]),
  });
  t.after(() => worker.close());
  await says(/w1 +worker +alive +active/, 'nodes');
  await says(/^w1: tier=words size=small$/m, 'label', 'w1', '--label', 'tier=words', '--label', 'size=small');

  await says(/^\{"words":3\}$/m, 'task', 'count', '"a b c"', '--label', 'size=small', '--wait');
  const failed = await cluster('task', 'count', '--wait');
  assert.deepEqual([failed.code, failed.out], [1, 'failed: there is no text\n']);
  const id = (await says(/^[0-9a-f-]{36}$/m, 'task', 'count', '--label', 'tier=nobody')).trim();
  await says(/cancelled/, 'cancel', id);
  await says(/count +cancelled/, 'tasks', '--state', 'cancelled');
  const bad = await cluster('task', 'count', 'no JSON');
  assert.equal(bad.code, 2);
  assert.match(bad.err, /PAYLOAD as JSON/);

  await says(/^kept for 1 until acknowledged$/m, 'message', 'w1', 'news', '{"hello":1}');
  await until(() => heard.length > 0, 'the message', PATIENCE_MS);
  assert.deepEqual(heard, [['news', { hello: 1 }]]);
  assert.equal((await cluster('message', 'nobody', 'news')).code, 4);

  await says(/cordoned/, 'cordon', 'w1', '--reason', 'upgrade');
  await says(/w1: active/, 'activate', 'w1');
  assert.equal((await cluster('drain', 'nobody')).code, 4);

  const token = await says(/^ghj_/, 'token', '--uses', '2', '--label', 'tier=words');
  const [, tokenId = ''] = /^(\S+) +2 +\S+ .* tier=words$/m.exec(await says(/USES LEFT/, 'tokens')) ?? [];
  assert.ok(!(await says(/"tokens"/, 'tokens', '--json')).includes(token.trim()));
  await says(new RegExp(`${tokenId}: revoked`), 'revoke', tokenId);
  assert.equal((await cluster('revoke', tokenId)).code, 4);
  assert.ok(!(await says(/USES LEFT/, 'tokens')).includes(tokenId));

  const file = (body: string): string => {
    const path = join(cli.folder, `${body}.yaml`);
    writeFileSync(
      path,
      `routes:\n  - { match: { path: /hello }, auth: public, respond: { status: 200, body: ${body} } }\n`,
    );
    return path;
  };
  await says(/version 1 .*done/, 'rollout', file('first'), '--reason', 'one', '--wait');
  await says(/version 2 .*done/, 'rollout', file('second'), '--reason', 'two', '--wait');
  assert.equal(await (await fetch(`${gateway.url}/hello`)).text(), 'second');
  const changed = await says(/^-.*body: first/m, 'difference', '2');
  assert.match(changed, /^\+.*body: second/m);
  await says(/^\+.*body: second/m, 'difference', '2', '1');
  await says(/2 +\S+ +\S.* two/, 'versions');
  await says(/version 2 .*done[\s\S]*version 1 .*done/, 'rollouts');
  await says(/rollout\.done/, 'events');
  writeFileSync(join(cli.folder, 'bad.yaml'), 'routes: [{ match: {}, service: nobody }]');
  const rejected = await cluster('rollout', 'bad.yaml', '--reason', 'typo', '--wait');
  assert.equal(rejected.code, 1);
  assert.match(rejected.out, /rejected/);
  assert.equal((await cluster('abort', 'nothing')).code, 4);
});
