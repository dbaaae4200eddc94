/**
 * Makes the document's demonstration account, `admin` with `admin123`, once, with the command that an operator would
 * use. The product itself never makes an account with a known password. Run by the launcher before the gateway starts.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ACCOUNT = { username: 'admin', password: 'admin123' } as const;

/** `command` is the command line: the binary, or its sources. Throws with its words when it refuses. */
export function setUp(command: string, env: Readonly<Record<string, string | undefined>>): void {
  const user = (args: readonly string[], input: string) =>
    spawnSync(
      process.execPath,
      [command, 'user', ...args, '--config', fileURLToPath(new URL('gatehouse.ts', import.meta.url))],
      { env: { ...env, DEMO_ACCOUNT: 'true' }, input, encoding: 'utf8' },
    );
  if (user(['show', ACCOUNT.username], '').status === 0) return;
  const made = user(['create', '--username', ACCOUNT.username, '--admin', '--password-stdin'], ACCOUNT.password);
  if (made.status !== 0) throw new Error(`the demonstration account was not made: ${made.stderr.trim()}`);
}

if (import.meta.main) setUp(fileURLToPath(new URL('../../bin/gatehouse.js', import.meta.url)), process.env);
