/**
 * Runs the micro benchmarks of this folder, each file in a fresh process so that one file's compiled code and garbage
 * do not colour the next: `npx node bench/micro/run.ts [name ...] [--json FILE]`. Names are file names without `.ts`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readNamesAndArguments } from '../lib/arguments.ts';
import type { MicroBenchmark, Row } from './row.ts';

/** Files that are not benchmarks themselves. */
const support = new Set(['row.ts', 'measure.ts', 'run.ts']);
const folder = fileURLToPath(new URL('.', import.meta.url));
const marker = 'micro-rows:';

const { values, names } = readNamesAndArguments(import.meta.filename, {
  json: { type: 'string' },
  one: { type: 'string' },
});

if (values.one !== undefined) await runOne(values.one);
else runAll(names, values.json);

/** The inside of one fresh process. */
async function runOne(name: string): Promise<void> {
  const module = (await import(new URL(`./${name}.ts`, import.meta.url).href)) as MicroBenchmark;
  process.stdout.write(`${marker}${JSON.stringify(await module.run())}\n`);
}

function runAll(wanted: readonly string[], jsonFile: string | undefined): void {
  const known = readdirSync(folder)
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !support.has(file))
    .map((file) => file.slice(0, -3))
    .sort();
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`no such micro benchmark: ${unknown.join(', ')} (there are: ${known.join(', ')})`);
    process.exit(2);
  }
  const results: Record<string, Row[]> = {};
  for (const name of wanted.length > 0 ? wanted : known) {
    const rows = inFreshProcess(name);
    if (rows === undefined) process.exitCode = 1;
    else {
      results[name] = rows;
      print(name, rows);
    }
  }
  if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(results, null, 2)}\n`);
}

function inFreshProcess(name: string): Row[] | undefined {
  const self = fileURLToPath(import.meta.url);
  const child = spawnSync(process.execPath, [...process.execArgv, self, '--one', name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 120_000,
  });
  const line = child.stdout?.split('\n').find((text) => text.startsWith(marker));
  if (child.status !== 0 || line === undefined) {
    console.error(`${name}: failed (${child.error?.message ?? `exit ${child.status ?? child.signal}`})`);
    return undefined;
  }
  return JSON.parse(line.slice(marker.length)) as Row[];
}

function print(name: string, rows: readonly Row[]): void {
  console.log(`\n${name}`);
  const width = Math.max(...rows.map((row) => row.name.length));
  for (const row of rows) {
    const quiet = row.quiet === undefined ? '' : `  quiet ${format(row.quiet)}`;
    const target =
      row.atMost === undefined ? '' : `  ${row.value <= row.atMost ? 'met' : 'MISSED'} (at most ${format(row.atMost)})`;
    const note = row.note === undefined ? '' : `  ${row.note}`;
    console.log(`  ${row.name.padEnd(width)}  ${format(row.value).padStart(9)} ${row.unit}${quiet}${target}${note}`);
  }
}

function format(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
