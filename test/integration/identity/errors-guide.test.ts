/** docs/guide/accounts.md tells every reason with which the identity service refuses, with its status and code. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('../../../src/control/identity/', import.meta.url));
const GUIDE = new URL('../../../docs/guide/accounts.md', import.meta.url);

const CODES: Readonly<Record<string, string>> = {
  conflict: '409 CONFLICT',
  forbidden: '403 INSUFFICIENT_PERMISSIONS',
  unauthenticated: '401 AUTHENTICATION_REQUIRED',
};

/** `reason` to `status code`, as the sources write them. */
function reasonsOfSources(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const add = (reason: string | undefined, answer: string): void => {
    if (reason !== undefined) found.set(reason, (found.get(reason) ?? new Set()).add(answer));
  };
  for (const name of readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
    const text = readFileSync(join(SOURCES, name), 'utf8');
    for (const [, status, code, reason] of text.matchAll(/new Problem\(\s*(\d{3}),\s*'(\w+)',\s*'(\w+)'/g))
      add(reason, `${status} ${code}`);
    for (const [, reason] of text.matchAll(/\bconflict\(\s*'(\w+)'/g)) add(reason, CODES['conflict'] ?? '');
    for (const [, kind = '', reason] of text.matchAll(/\b(forbidden|unauthenticated)\(\s*'[^']*',\s*'(\w+)'/g))
      add(reason, CODES[kind] ?? '');
    for (const [, reason] of text.matchAll(/reason = '(\w+)'/g))
      if (name.endsWith('problem.ts'))
        add(
          reason,
          reason === 'insufficient_permissions' ? (CODES['forbidden'] ?? '') : (CODES['unauthenticated'] ?? ''),
        );
  }
  return found;
}

function reasonsOfGuide(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const line of readFileSync(GUIDE, 'utf8').split('\n')) {
    const [, status, code, reasons] = /^\| (\d{3}) +\| `(\w+)` +\| (.*) \|$/.exec(line) ?? [];
    for (const [, reason = ''] of (reasons ?? '').matchAll(/`(\w+)`/g))
      found.set(reason, (found.get(reason) ?? new Set()).add(`${status} ${code}`));
  }
  return found;
}

test('the guide lists every refusal of the identity service, and no other', () => {
  const sorted = (reasons: Map<string, Set<string>>) =>
    [...reasons].map(([name, answers]) => `${name}: ${[...answers].sort().join(', ')}`).sort();
  const sources = reasonsOfSources();
  assert.ok(sources.size > 40);
  assert.deepEqual(sorted(reasonsOfGuide()), sorted(sources));
});
