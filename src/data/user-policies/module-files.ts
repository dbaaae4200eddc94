/**
 * Which files a user's module is made of: itself and what it imports by relative paths, followed to the end. The
 * version of a module is a hash of them all, so that a reload takes up a change of any. Packages (`node_modules`) do
 * not count. Called by the compilation of options (control side), which also watches the files.
 */
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';

const SPECIFIER =
  /(?:^|[;}\s])(?:import|export)\s*(?:[\w*{}\s,$]+\s*from\s*)?['"](\.{1,2}\/[^'"]+)['"]|\bimport\s*\(\s*['"](\.{1,2}\/[^'"]+)['"]/g;
const MAX_FILES = 500;

export interface ModuleFiles {
  readonly files: readonly string[];
  /** Changes with the text of any of the files. */
  readonly version: string;
  /** What `textsId` names: the texts by file, in JSON. */
  readonly texts: string;
}

/** `read` gives undefined for a file that it has reported. Undefined when any file is missing. */
export function moduleFiles(
  file: string,
  read: (file: string, importedBy: string | null) => string | undefined,
): ModuleFiles | undefined {
  const hash = createHash('sha256');
  const texts: Record<string, string> = {};
  const seen = new Set([file]);
  const waiting: [file: string, importedBy: string | null][] = [[file, null]];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [path, importedBy] = next;
    const text = read(path, importedBy);
    if (text === undefined) return undefined;
    hash.update(`${path}\0${text}\0`);
    texts[path] = text;
    for (const [, fixed, dynamic] of text.matchAll(SPECIFIER)) {
      const target = resolve(dirname(path), fixed ?? dynamic ?? '');
      if (seen.has(target) || seen.size >= MAX_FILES) continue;
      seen.add(target);
      waiting.push([target, path]);
    }
  }
  return { files: [...seen], version: hash.digest('base64url').slice(0, 16), texts: JSON.stringify(texts) };
}
