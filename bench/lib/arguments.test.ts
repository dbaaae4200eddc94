import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const BENCH = fileURLToPath(new URL('..', import.meta.url));
/** What people start. The others are started by these, with a port or a plan. */
const programs = [...readdirSync(BENCH).filter((name) => /^[a-z-]+\.ts$/.test(name)), 'micro/run.ts'].filter((name) =>
  /readArguments\(|readNumber\(|readNamesAndArguments\(|parseOptions\(process|readOptions\(/.test(
    readFileSync(`${BENCH}/${name}`, 'utf8'),
  ),
);

function run(program: string, ...args: string[]) {
  return spawnSync(process.execPath, [`${BENCH}/${program}`, ...args], { encoding: 'utf8', timeout: 60_000 });
}

test('every benchmark says what it does and which options it has, and starts nothing for that', () => {
  assert.ok(programs.length >= 17, programs.join());
  for (const program of programs) {
    const { status, stdout, stderr } = run(program, '--help');
    assert.deepEqual([program, status, stderr], [program, 0, '']);
    assert.match(stdout, new RegExp(`^npx node bench/${program}`));
  }
  assert.match(run('verify.ts', '-h').stdout, /\n {2}--rates VALUE \(default 500,1000,2000\)\n/);
});

test('a comparison names its mistake as well', () => {
  const { status, stderr } = run('compare.ts', 'HEAD', '--job', 'fast');
  assert.equal(status, 2);
  assert.match(stderr, /^--job: 'fast' is none of plain[^\n]*\n\nnpx node/);
});

test('a wrong argument is one line and exit code 2', () => {
  for (const [program, ...args] of [
    ['start.ts', '--run', '3'],
    ['start.ts', '--runs'],
    ['start.ts', '--runs', 'many'],
    ['start.ts', '--runs', ''],
    ['verify.ts', '--rates', '1,b'],
    ['soak.ts', 'extra'],
    ['faults.ts', '--seconds'],
    ['faults.ts', '0'],
    ['cluster.ts', '--only', 'failover'],
    ['engines.ts', '--engine', 'nats', '--engine', 'kafka'],
    ['bodies.ts', '--part', 'zip'],
    ['micro/run.ts', '--fast'],
  ] as const) {
    const { status, stdout, stderr } = run(program, ...args);
    assert.deepEqual([program, status, stdout], [program, 2, '']);
    assert.match(stderr, /^[a-z]+\.ts: [^\n]+; --help shows what there is\n$/, `${program} ${args.join(' ')}`);
  }
});
