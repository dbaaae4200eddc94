import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { builtinModules } from 'node:module';
import { test } from 'node:test';
import { promisify } from 'node:util';

/** Frees 36 of 40 MB, with something kept between, so that no block is free up to its end. */
const PROGRAM = `
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { releaseMemory, trimMemory } from '${new URL('release-memory.ts', import.meta.url).href}';

const residentMB = () => Number(/^VmRSS:\\s+(\\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
const fill = () => Array.from({ length: 1_000 }, () => Buffer.allocUnsafeSlow(40 * 1024).fill(1));
const kept = fill().filter((_, index) => index % 10 === 0);
// What a turn of the event loop still holds is not garbage.
await turn();
releaseMemory();
const freedMB = residentMB();
const { emitWarning } = process;
trimMemory();
console.log(JSON.stringify({ fell: freedMB - residentMB(), kept: kept.length, same: process.emitWarning === emitWarning }));
`;

const run = async (...flags: readonly string[]) => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    ...flags,
    '--input-type=module',
    '-e',
    PROGRAM,
  ]);
  return { ...(JSON.parse(stdout) as { fell: number; kept: number; same: boolean }), stderr };
};
const isGlibc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime;
const needed =
  process.platform === 'linux' && isGlibc !== undefined && builtinModules.includes('node:ffi')
    ? {}
    : { skip: 'there is no glibc, or no node:ffi to call it by' };

test('what was freed goes back to the system, without a word', needed, async () => {
  const { fell, kept, same, stderr } = await run();
  assert.ok(fell > 20, `${fell} MB fewer`);
  assert.equal(kept, 100);
  assert.equal(same, true);
  assert.equal(stderr, '');
});

test('where Node may not call native code nothing happens', needed, async () => {
  for (const flags of [['--no-experimental-ffi'], ['--permission', '--allow-fs-read=*']]) {
    const { fell, same, stderr } = await run(...flags);
    assert.ok(fell < 5, `${flags}: ${fell} MB fewer`);
    assert.equal(same, true);
    assert.equal(stderr, '');
  }
});
