import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeDataFolder } from './data-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-data-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const MODULE = fileURLToPath(new URL('data-folder.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;

/** As a user who is not root, for whom permissions count. Gives the message, or nothing. */
function asUser(path: string): string {
  const script = `import(${JSON.stringify(MODULE)}).then((m) => m.makeDataFolder(${JSON.stringify(path)})).catch((e) => process.stdout.write(e.message))`;
  const user = isRoot ? { uid: 65_534, gid: 65_534 } : {};
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', ...user });
  assert.equal(stderr, '');
  return stdout;
}

/** Whether another user gets at this checkout at all. */
const canBeUser =
  !isRoot ||
  spawnSync(process.execPath, ['-e', `require('fs').readFileSync(${JSON.stringify(MODULE)})`], { uid: 65_534 })
    .status === 0;

test('a data folder is made for its owner alone', async () => {
  const path = join(folder, 'a/b');
  await makeDataFolder(path);
  await makeDataFolder(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
});

test('a data folder that is a file, or lies under one, says so', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await assert.rejects(makeDataFolder(file), {
    message: `the data folder ${file} cannot be used: a file of this name exists; gateway.dataDir names another one, and the user of this process must own it`,
  });
  await assert.rejects(makeDataFolder(join(file, 'x')), /\/file\/x cannot be made: a part of its path is no folder; /);
});

test('a data folder without permission says what may not be done', {
  skip: process.platform === 'win32' || !canBeUser,
}, () => {
  const closed = join(folder, 'closed');
  mkdirSync(closed);
  chmodSync(folder, 0o755);
  chmodSync(closed, 0o555);
  assert.match(
    asUser(closed),
    /^the data folder \S+\/closed cannot be used: permission denied; gateway\.dataDir names/,
  );
  assert.match(asUser(join(closed, 'data')), /^the data folder \S+\/closed\/data cannot be made: permission denied; /);
});
