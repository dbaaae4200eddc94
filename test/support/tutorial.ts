/**
 * docs/tutorial.md as a reader follows it: one shell, in an empty folder, every block in its order, and what is printed
 * is what the page says. Only the ports are others, since 8000 may be somebody else's here. The same for each way in:
 * the checkout, the package, the single executable.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePorts } from './ports.ts';
import type { Scope } from './scope.ts';

const PAGE = fileURLToPath(new URL('../../docs/tutorial.md', import.meta.url));
const PORTS = ['8000', '4001', '4002'];
const TOOLS = ['/usr/bin', '/bin'];

/** `command`: what `gatehouse` is, as a shell writes it. Resolves with the milliseconds that it all took. */
export async function followTutorial(t: Scope, command: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-tutorial-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const bin = join(folder, 'bin');
  const shop = join(folder, 'shop');
  for (const place of [bin, shop]) mkdirSync(place);
  withoutNode(bin);
  writeFileSync(join(bin, 'gatehouse'), `#!/bin/sh\nexec ${command} "$@"\n`);
  chmodSync(join(bin, 'gatehouse'), 0o755);
  const blocks = [...(await page()).matchAll(/```sh\n([\s\S]*?)```(?:\n\n```text\n([\s\S]*?)```)?/g)];
  assert.ok(blocks.length >= 8, 'the tutorial has its commands');
  const script = [
    'set -uo pipefail',
    // What a reader would end by closing the window.
    'trap "kill $(jobs -p) 2>/dev/null" EXIT',
    ...blocks.map(([, commands]) => `${commands}\nprintf '\\n@@@\\n'`),
  ].join('\n');
  const env = { ...process.env, NODE_TEST_CONTEXT: '', NODE_OPTIONS: '', PATH: bin };
  const begunMs = performance.now();
  const { stdout, stderr } = await promisify(execFile)('/bin/bash', ['-c', script], {
    cwd: shop,
    env,
    timeout: 270_000,
  });
  const tookMs = performance.now() - begunMs;
  const outputs = stdout.split('\n@@@\n').slice(0, -1);
  const printed = outputs.filter((_, i) => blocks[i]![2] !== undefined).map((output) => output.trim());
  const promised = blocks.filter(([, , expected]) => expected !== undefined).map(([, , expected]) => expected!.trim());
  assert.deepEqual(printed, promised, stderr);
  assert.doesNotMatch(stderr, /warning/i, 'no library complains to the reader');
  assert.match(outputs.join('\n'), /orders\n/, 'the status names the service');
  return tookMs;
}

/** The tools of the machine, and no Node: who runs one file has none. */
function withoutNode(bin: string): void {
  const names = new Set(['gatehouse', 'node', 'nodejs', 'npm', 'npx']);
  for (const place of TOOLS)
    for (const name of readdirSync(place)) {
      if (!names.has(name)) symlinkSync(join(place, name), join(bin, name));
      names.add(name);
    }
}

/** With free ports, and the services of the reader run by the Node of this test. */
async function page(): Promise<string> {
  let text = readFileSync(PAGE, 'utf8');
  const free = await freePorts(PORTS.length);
  for (const [i, port] of PORTS.entries()) text = text.replaceAll(`:${port}`, `:${free[i]}`);
  for (const [, name = '', written = ''] of text.matchAll(/node orders\.mjs (one|two) (\d+)/g)) {
    const now = [...text.matchAll(/http:\/\/127\.0\.0\.1:(\d+)'/g)][name === 'one' ? 0 : 1]![1]!;
    text = text.replace(`node orders.mjs ${name} ${written}`, `'${process.execPath}' orders.mjs ${name} ${now}`);
  }
  return text.replaceAll('port: 8000', `port: ${/127\.0\.0\.1:(\d+)\/health/.exec(text)![1]}`);
}
