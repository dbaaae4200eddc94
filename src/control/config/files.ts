/** Which file is the configuration: the one that was named, or the one that lies in the folder. */
import { existsSync } from 'node:fs';
import { extname, join } from 'node:path';

/** In the order in which they are looked for. */
export const DEFAULT_FILES = [
  'gatehouse.yaml',
  'gatehouse.yml',
  'gatehouse.json',
  'gatehouse.ts',
  'gatehouse.js',
] as const;

export type FileKind = 'yaml' | 'json' | 'module';

/** Names of the default files that exist in a folder. */
export function defaultFiles(folder: string): string[] {
  return DEFAULT_FILES.filter((name) => existsSync(join(folder, name)));
}

/** By the extension; undefined for one that is not known. */
export function fileKind(path: string): FileKind | undefined {
  switch (extname(path).toLowerCase()) {
    case '.yaml':
    case '.yml':
      return 'yaml';
    case '.json':
      return 'json';
    case '.ts':
    case '.mts':
    case '.js':
    case '.mjs':
      return 'module';
    default:
      return undefined;
  }
}
