/**
 * docs/tutorial.md as a reader follows it: one shell, in an empty folder, every block in its order, and what is printed
 * is what the page says. Only the ports are others, since 8000 may be somebody else's here.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../support/ports.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const PORTS = ['8000', '4001', '4002'];

test('the tutorial does what it says', { timeout: 280_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-tutorial-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const bin = join(folder, 'bin');
  const shop = join(folder, 'shop');
  for (const place of [bin, shop]) mkdirSync(place);
  writeFileSync(
    join(bin, 'gatehouse'),
    `#!/bin/sh\nexec '${process.execPath}' --no-warnings '${CHECKOUT}tools/gatehouse.ts' "$@"\n`,
  );
  chmodSync(join(bin, 'gatehouse'), 0o755);
  let text = readFileSync(join(CHECKOUT, 'docs/tutorial.md'), 'utf8');
  for (const port of PORTS) text = text.replaceAll(`:${port}`, `:${await freePort()}`);
  for (const [, name = '', written = ''] of text.matchAll(/node orders\.mjs (one|two) (\d+)/g)) {
    const now = [...text.matchAll(/http:\/\/127\.0\.0\.1:(\d+)'/g)][name === 'one' ? 0 : 1]![1]!;
    text = text.replace(`orders.mjs ${name} ${written}`, `orders.mjs ${name} ${now}`);
  }
  text = text.replaceAll('port: 8000', `port: ${/127\.0\.0\.1:(\d+)\/health/.exec(text)![1]}`);
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```(?:\n\n```text\n([\s\S]*?)```)?/g)];
  assert.ok(blocks.length >= 8, 'the tutorial has its commands');
  const script = [
    'set -uo pipefail',
    // What a reader would end by closing the window.
    'trap "kill $(jobs -p) 2>/dev/null" EXIT',
    ...blocks.map(([, commands]) => `${commands}\nprintf '\\n@@@\\n'`),
  ].join('\n');
  const env = {
    ...process.env,
    NODE_TEST_CONTEXT: '',
    PATH: `${bin}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
  };
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', script], { cwd: shop, env, timeout: 270_000 });
  const outputs = stdout.split('\n@@@\n').slice(0, -1);
  const printed = outputs.filter((_, i) => blocks[i]![2] !== undefined).map((output) => output.trim());
  const promised = blocks.filter(([, , expected]) => expected !== undefined).map(([, , expected]) => expected!.trim());
  assert.deepEqual(printed, promised, stderr);
  assert.doesNotMatch(stderr, /warning/i, 'no library complains to the reader');
  assert.match(outputs.join('\n'), /orders\n/, 'the status names the service');
});
