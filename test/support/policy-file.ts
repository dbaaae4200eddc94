/** A policy of the user, in a file of its own that goes with its test. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scope } from './scope.ts';

/** `text`: the module. Gives the path of the file. */
export async function policyFile(test: Scope, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-policy-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'policy.ts');
  await writeFile(file, text);
  return file;
}
