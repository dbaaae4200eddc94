import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine } from './command-line.suite.ts';

const SHIPPED = new URL('../../deploy/monitoring/', import.meta.url);

test('gatehouse dashboards writes the rules and boards that are shipped, and says where it cannot', async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  const { code, out, err } = await cli.run('dashboards', '--out', 'monitoring');
  assert.equal(code, 0, err);
  const folder = join(cli.folder, 'monitoring');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\.(json|yaml)$/.test(path),
  );
  assert.ok(files.includes(join('prometheus', 'gatehouse.rules.yaml')));
  assert.ok(files.filter((path) => path.endsWith('.json')).length >= 7);
  for (const path of files) {
    assert.ok(out.includes(`wrote ${join(folder, path)}\n`));
    assert.equal(readFileSync(join(folder, path), 'utf8'), readFileSync(new URL(path, SHIPPED), 'utf8'), path);
  }
  writeFileSync(join(cli.folder, 'taken'), '');
  const failed = await cli.run('dashboards', '--out', 'taken');
  assert.equal(failed.code, 5);
  assert.match(failed.err, /taken/);
});
