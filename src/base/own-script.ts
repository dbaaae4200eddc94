/** How to start a file of the gateway's own as a program, with plain Node and with the single executable alike. */
import { isSea } from 'node:sea';

/** Arguments for `process.execPath`. The executable runs Gatehouse unless it is asked for a file. */
export function ownScript(file: string, ...args: readonly string[]): string[] {
  return isSea() ? ['--run-script', file, ...args] : ['--no-warnings', file, ...args];
}
