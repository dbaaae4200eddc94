/** Descriptor sets for tests, by protoc, with the files of Google that a gateway knows without having them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { KNOWN_PROTOS } from '../../src/control/grpc/known-protos.ts';
import type { Scope } from './scope.ts';

/** The path of a descriptor set of this file and all that it imports. */
export function descriptorSet(test: Scope, file: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'protos-'));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(KNOWN_PROTOS)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const set = join(folder, 'set.pb');
  const known = Object.keys(KNOWN_PROTOS);
  const includes = ['-I', dirname(file), '-I', folder, '-I', '/usr/include'];
  execFileSync('protoc', [...includes, '--include_imports', `--descriptor_set_out=${set}`, file, ...known]);
  return set;
}
