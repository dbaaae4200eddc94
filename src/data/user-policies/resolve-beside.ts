/** Paths in a policy's options are relative to the policy's own file, wherever the gateway was started. */
import { dirname, resolve } from 'node:path';

export function resolveBeside(file: string): (path: string) => string {
  const folder = dirname(file);
  return (path) => resolve(folder, path);
}
