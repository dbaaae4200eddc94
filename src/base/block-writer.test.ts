import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BlockWriter } from './block-writer.ts';
import { createLogger } from './log.ts';

function folder(t: { after(hook: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'gh-log-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Resolves with the lines that were lost. */
const written = (writer: BlockWriter, lines: string): Promise<number> =>
  new Promise((resolve) => writer.write(Buffer.from(lines), resolve));

test('a file is appended to, for its group at most, and a log that was moved away is released', async (t) => {
  const file = join(folder(t), 'access.log');
  const writer = new BlockWriter(createLogger('silent'));
  await writer.target({ file });
  await written(writer, 'one\n');
  renameSync(file, `${file}.1`);
  await writer.target({ file });
  await written(writer, 'two\n');
  await writer.close();
  assert.equal(readFileSync(`${file}.1`, 'utf8'), 'one\n');
  assert.equal(readFileSync(file, 'utf8'), 'two\n');
  assert.equal(statSync(file).mode & 0o007, 0);
});

test('a pipe without a reader delays neither start, another target nor the end, and loses nothing once it is read', async (t) => {
  const at = folder(t);
  const pipe = join(at, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const writer = new BlockWriter(createLogger('silent'));
  await writer.target({ file: pipe });
  const block = `${'x'.repeat(65_535)}\n`;
  let done = 0;
  for (let i = 0; i < 4; i++) writer.write(Buffer.from(block), () => done++);
  await writer.target({ file: join(at, 'other') });
  await written(writer, 'goes on\n');
  assert.ok(done < 4, 'the pipe takes no more');
  let read = 0;
  const reader = createReadStream(pipe);
  for await (const bytes of reader) {
    read += bytes.length;
    if (read === 4 * block.length) break;
  }
  reader.destroy();
  assert.equal(read, 4 * block.length);
  const stuck = new BlockWriter(createLogger('silent'));
  await stuck.target({ file: pipe });
  for (let i = 0; i < 4; i++) stuck.write(Buffer.from(block), () => {});
  await stuck.close();
});

test('lines that a full disk does not take are counted', async (t) => {
  const errors: string[] = [];
  const writer = new BlockWriter(createLogger('info', (line) => void errors.push(line)));
  await writer.target({ file: '/dev/full' });
  assert.equal(await written(writer, 'one\ntwo\nthree\n'), 3);
  assert.equal(await written(writer, 'four\n'), 1);
  const file = join(folder(t), 'access.log');
  await writer.target({ file });
  assert.equal(await written(writer, 'five\n'), 0);
  await writer.close();
  assert.equal(readFileSync(file, 'utf8'), 'five\n');
  assert.equal(errors.filter((line) => line.includes('lines are lost')).length, 1, 'said once');
});
