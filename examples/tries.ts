/**
 * Runs what an example prints to try, as a newcomer would paste it, against a gateway that a test has started. A
 * refusal is an error. Lines that start a program of their own and do not end (`npx node`) are left out.
 */
import { execFile } from 'node:child_process';

export interface Tries {
  /** What `example.ts` prints. */
  readonly lines: readonly string[];
  /** Address that the lines name, and the one that the test has. */
  readonly printed: string;
  readonly url: string;
  readonly folder: string;
}

/** What all of them print together; rejects with the words of the first that fails. */
export function runTries({ lines, printed, url, folder }: Tries): Promise<string> {
  const script = lines
    .filter((line) => !line.includes('npx node'))
    .map((line) => line.replaceAll(printed, url).replaceAll(/\bcurl /g, 'curl --fail-with-body --max-time 15 '))
    .join('\n');
  return new Promise((resolve, reject) => {
    execFile('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder }, (error, out, err) => {
      if (error === null) resolve(out);
      else reject(new Error(`${error.message}\n${out}\n${err}`));
    });
  });
}
