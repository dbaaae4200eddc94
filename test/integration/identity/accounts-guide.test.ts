/** The commands of docs/guide/accounts.md, run by a shell against a real service as a reader would run them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '../../../src/base/clock.ts';
import { makeBench } from './harness.ts';

test('every command of the guide to accounts answers as the guide says', async (t) => {
  const bench = await makeBench({}, { clock: systemClock as never });
  t.after(() => bench.close());
  const { port } = await bench.identity.start({ host: '127.0.0.1', port: 0 });
  const text = readFileSync(new URL('../../../docs/guide/accounts.md', import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g)];
  assert.ok(blocks.length >= 6, 'the guide has its commands');
  // One shell for all, as variables go on; a mark between blocks tells their outputs apart.
  const script = ['set -euo pipefail', ...blocks.map(([, commands]) => `${commands}\nprintf '\\n@@@\\n'`)].join('\n');
  const env = {
    PATH: process.env['PATH'] ?? '',
    GATEWAY: `http://127.0.0.1:${port}`,
    MAILBOX: join(bench.folder, 'mailbox'),
  };
  const { stdout } = await promisify(execFile)('bash', ['-c', script], { env, timeout: 250_000 });
  const outputs = stdout.split('\n@@@\n').slice(0, -1);
  for (const [i, [, commands, expected = '']] of blocks.entries()) {
    assert.equal(outputs[i]?.trim(), expected.trim(), `after:\n${commands}`);
  }
});
