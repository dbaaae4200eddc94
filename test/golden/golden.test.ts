/**
 * Configuration by example. Each file in cases/ is an input, a line `----`, and what loading and compiling it says:
 * every problem, and the parts of the result that the input asks to see under its note `x-show`. The extension before
 * `.golden` is the kind of file. Lines `# env NAME=value` in YAML set the environment. To write the results anew after
 * a change:
 * `UPDATE_GOLDEN=1 npx node --test test/golden/golden.test.ts`, and read the difference before it is committed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compile } from '../../src/control/config/compile.ts';
import { loadConfig } from '../../src/control/config/load.ts';
import { formatProblem } from '../../src/control/config/problems.ts';

const CASES = new URL('./cases/', import.meta.url);
const SEPARATOR = '----\n';
const NOW = Date.UTC(2026, 0, 1);
/** A secret that no result may repeat. */
const SECRET = 'hunter2-hunter2-hunter2';
const ENV = { TEST_NAME: 'projects', TEST_PORT: '8443', TEST_SWITCH: 'true', TEST_SECRET: SECRET, TEST_EMPTY: '' };

const folder = mkdtempSync(join(tmpdir(), 'golden-'));
after(() => rmSync(folder, { recursive: true, force: true }));

for (const name of readdirSync(CASES).sort()) {
  test(`${name.replace('.golden', '')} gives what its golden file says`, async () => {
    const file = new URL(name, CASES);
    const text = readFileSync(file, 'utf8');
    const cut = text.indexOf(`\n${SEPARATOR}`);
    const input = cut < 0 ? text : text.slice(0, cut + 1);
    const result = await resultOf(name.replace(/\.golden$/, ''), input);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, input + SEPARATOR + result);
    else assert.equal(result, text.slice(cut + 1 + SEPARATOR.length));
    assert.ok(!result.includes(SECRET), 'a secret is shown');
  });
}

async function resultOf(name: string, input: string): Promise<string> {
  const file = `gatehouse${name.slice(name.lastIndexOf('.'))}`;
  writeFileSync(join(folder, file), input);
  const loaded = await loadConfig({ file, cwd: folder, env: { ...ENV, ...variables(input) } });
  if (!loaded.ok) return lines(loaded.problems.map(formatProblem));
  const compiled = compile(loaded.config, { nowMs: NOW });
  const problems = compiled.problems.map(formatProblem);
  if (!compiled.ok) return lines(problems);
  const source = loaded.config.source.value as Record<string, unknown> | null;
  const wanted = (source?.['x-show'] ?? []) as readonly string[];
  const shown = wanted.map((path) => `${path} = ${JSON.stringify(at(compiled, path), null, 2)}`);
  return lines([...problems, 'ok', ...shown]);
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line.replaceAll(folder, '<folder>')}\n`).join('');
}

function variables(input: string): Record<string, string> {
  return Object.fromEntries([...input.matchAll(/^# env ([A-Z_]+)=(.*)$/gm)].map((match) => [match[1], match[2]]));
}

/** `snapshot.services.0.timeouts` of the compiled configuration. */
function at(root: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], root);
}
