/** The user's program for `dns-01`: it may print, hang, leave something running or fail, and never holds an order up. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Scope } from '../../../test/support/scope.ts';
import { until } from '../../../test/support/until.ts';
import { createLogger } from '../../base/log.ts';
import type { Proof } from './authority.ts';
import { ChallengeProver } from './prover.ts';
import { FolderStorage } from './storage.ts';

const PROOF: Proof = { kind: 'dns-01', name: 'a.example', token: 't', answer: '-v $(reboot)', certificate: null };

const SIGNAL = new AbortController().signal;

async function prover(test: Scope, script: string, timeoutMs = 20_000) {
  const folder = await mkdtemp(join(tmpdir(), 'gh-hook-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'hook.sh'), script);
  const lines: string[] = [];
  const made = new ChallengeProver({
    bus: { publish: () => {} },
    storage: new FolderStorage(folder),
    dns: { command: ['/bin/sh', 'hook.sh'], timeoutMs, waitMs: 0 },
    log: createLogger('warn', (line) => lines.push(line)),
    cwd: folder,
  });
  return { folder, lines, made };
}

describe('the program that sets a record', { skip: process.platform === 'win32' }, () => {
  test('gets what it is for as arguments, whatever is in them', async (t) => {
    const { folder, made } = await prover(t, 'printf "%s|" "$@" > args');
    await made.present(PROOF, SIGNAL);
    assert.equal(await readFile(join(folder, 'args'), 'utf8'), 'set|_acme-challenge.a.example|-v $(reboot)|');
  });

  test('may print more than anybody reads', async (t) => {
    const { made } = await prover(t, 'head -c 100000000 /dev/zero; head -c 20000000 /dev/zero >&2');
    await made.present(PROOF, SIGNAL);
  });

  test('may leave something running that holds its output', async (t) => {
    const { folder, made } = await prover(t, 'sleep 30 & echo $! > pid');
    await made.present(PROOF, SIGNAL);
    process.kill(Number(await readFile(join(folder, 'pid'), 'utf8')));
  });

  test('ends with all that it started when it hangs', async (t) => {
    const { folder, made } = await prover(t, 'sleep 600 & echo $! > pid; wait', 500);
    await assert.rejects(made.present(PROOF, SIGNAL), /failed to set the record: it ran for too long/);
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    const isGone = async (): Promise<boolean> => {
      const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      return state === '' || / Z /.test(state);
    };
    if (process.platform === 'linux') await until(isGone, 'what the program started is gone');
  });

  test('is quoted where it fails, and what it does not take away is a warning', async (t) => {
    const { made, lines } = await prover(t, 'echo first >&2; echo "the zone is locked" >&2; exit 3');
    await assert.rejects(made.present(PROOF, SIGNAL), /failed to set the record: exit code 3: the zone is locked$/);
    await made.remove(PROOF);
    assert.match(lines.join(''), /was not taken away.*the zone is locked/);
    const killed = await prover(t, 'kill -9 $$');
    await assert.rejects(killed.made.present(PROOF, SIGNAL), /it was ended by SIGKILL/);
  });
});
