/** The order of the phases, as a policy that acts in all of them meets it, against the words and the page. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { POLICY_PHASES } from '../../src/base/vocabulary.ts';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { echoUpstream } from '../support/upstream.ts';

/** Policies in files read bodies by their options, not by a hook. */
const HOOKS = POLICY_PHASES.filter((phase) => phase !== 'requestBody');

test('a request meets the phases in the order of docs/life-of-a-request.md', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-phases-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    join(folder, 'tell.ts'),
    `import { definePolicy } from 'gatehouse/policy';
    export default definePolicy({ name: 'tell', create: (options, tools) => Object.fromEntries(
      ${JSON.stringify(HOOKS)}.map((phase) => [phase, () => { tools.log.info('phase ' + phase); }])) });`,
  );
  const { url } = await echoUpstream(t);
  const gateway = await startTestGateway(t, {
    services: { echo: { instances: [url] } },
    routes: [{ match: { path: '/*' }, service: 'echo', auth: 'public', use: join(folder, 'tell.ts') }],
  });
  const response = await fetch(`${gateway.url}/a`, { method: 'POST', body: 'text' });
  assert.equal(response.status, 200);
  const met = () =>
    gateway.logged.map((line) => /"message":"phase (\w+)"/.exec(line)?.[1]).filter((name) => name !== undefined);
  await until(() => met().includes('finish'), 'the last phase');
  assert.deepEqual(met(), [...HOOKS]);

  const page = readFileSync(new URL('../../docs/life-of-a-request.md', import.meta.url), 'utf8');
  const headings = [...page.matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual(
    headings.filter((name) => met().includes(name ?? '')),
    met(),
  );
});
