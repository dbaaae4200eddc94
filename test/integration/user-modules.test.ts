/**
 * Modules of the user in a folder whose `package.json` says `"type": "commonjs"`, as that of `npm init` does: their
 * TypeScript is a module all the same, in the check, at the start and after a reload.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { startGateway } from '../../src/main.ts';
import { echoUpstream } from '../support/upstream.ts';

test('configuration, policy, handler, balancer and authorizer are modules beside a commonjs package', async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  const { url } = await echoUpstream(t);
  const part = (text: string): string => `export const part: string = '${text}';\n`;
  const policy = (text: string): string =>
    `import { definePolicy } from 'gatehouse/policy';
import { part } from './part.ts';
export default definePolicy({ name: 'mine', create: () => ({
  requestHead(request): void { request.setResponseHeader('X-Mine', \`\${part} ${text}\`); },
}) });\n`;
  const files: Record<string, string> = {
    'package.json': '{ "name": "mine", "version": "1.0.0", "type": "commonjs" }',
    'part.ts': part('one'),
    'policy.ts': policy('first'),
    'handler.ts': `import { defineHandler } from 'gatehouse/policy';
export default defineHandler((): Response => new Response('made'));\n`,
    'balancer.ts': `import { defineBalancer } from 'gatehouse/balancer';
export default defineBalancer({ name: 'first', create: () => ({ pick: (): number => 0 }) });\n`,
    'check.ts': `import { constants } from 'node:http2';
export default (): boolean => constants.HTTP_STATUS_OK === 200;\n`,
    'gatehouse.ts': `import { defineConfig } from 'gatehouse';
import { part } from './part.ts';
export default defineConfig({
  gateway: { host: '127.0.0.1', port: 0, workers: 1, watch: false },
  services: { s: { instances: ['${url}'], loadBalancing: { algorithm: 'custom', file: './balancer.ts' } } },
  routes: [
    { name: part, match: { path: '/s' }, service: 's', auth: 'public', use: './policy.ts',
      authorize: { level: 'public', function: { file: './check.ts' } } },
    { match: { path: '/made' }, handler: './handler.ts', auth: 'public' },
  ],
});\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(cli.folder, name), text);
  const checked = await cli.run('check', 'gatehouse.ts');
  assert.deepEqual([checked.err, checked.code], ['', 0]);
  const gateway = await startGateway({ configFile: 'gatehouse.ts', cwd: cli.folder, env: {} });
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  const ask = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${gateway.addresses[0]!.port}${path}`);
  const mine = async (): Promise<unknown[]> => {
    const response = await ask('/s');
    await response.text();
    return [response.status, response.headers.get('x-mine')];
  };
  assert.deepEqual(await mine(), [200, 'one first']);
  assert.equal(await (await ask('/made')).text(), 'made');
  await writeFile(join(cli.folder, 'part.ts'), part('two'));
  await writeFile(join(cli.folder, 'policy.ts'), policy('second'));
  assert.equal((await gateway.reload()).ok, true);
  assert.deepEqual(await mine(), [200, 'two second']);
});
