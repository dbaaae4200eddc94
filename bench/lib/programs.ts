/**
 * Finds programs and asks for their versions. Debian keeps nginx and haproxy in /usr/sbin, which is often not on PATH.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const found = new Map<string, string | undefined>();

/** Absolute path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
  if (!found.has(name)) found.set(name, search(name));
  return found.get(name);
}

function search(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    if (folder === '') continue;
    const candidate = join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** First version number in what `name args` prints, on either stream. */
export function programVersion(name: string, ...args: string[]): string {
  const program = findProgram(name);
  if (program === undefined) return 'not installed';
  const result = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 });
  return /\d+\.\d+(\.\d+)*/.exec(`${result.stdout}${result.stderr}`)?.[0] ?? 'unknown';
}
