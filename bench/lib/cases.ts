/**
 * The request shapes that are timed. A case is one path with one body in one direction; a job runs several.
 */
import { download } from './bodies.ts';

export interface Case {
  readonly name: string;
  readonly path: string;
  /** Bytes to POST; 0 for a GET. */
  readonly uploadBytes: number;
  /** Body length of every good answer. */
  readonly expectBytes: number;
  /** Large bodies use fewer connections, or the load's core is all that is measured. */
  readonly mostConnections: number;
}

function down(name: string, path: string, mostConnections = Number.POSITIVE_INFINITY): Case {
  return { name, path, uploadBytes: 0, expectBytes: download(path).bytes.length, mostConnections };
}

function up(name: string, uploadBytes: number, mostConnections = Number.POSITIVE_INFINITY): Case {
  return { name, path: '/upload', uploadBytes, expectBytes: 'taken\n'.length, mostConnections };
}

export const cases = {
  '1k': down('1 KB JSON down', '/1k.json'),
  '100k': down('100 KB down', '/100k.bin'),
  '1m': down('1 MB down', '/1m.bin', 32),
  'up-10k': up('10 KB up', 10 * 1024),
  'up-1m': up('1 MB up', 1024 * 1024, 32),
} as const satisfies Record<string, Case>;

export type CaseId = keyof typeof cases;

export const caseIds = Object.keys(cases) as CaseId[];
