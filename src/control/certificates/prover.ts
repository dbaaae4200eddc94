/**
 * Answers what an authority asks to prove a name: over HTTP (`builtin:acme`), by a certificate for one handshake, or by
 * a record that a program of the user's sets. Where gateways share a database any of them may be asked, so the answers
 * of the first two are in the storage as well.
 */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { CHALLENGE_TOPIC, type ChallengeCertificates } from '../../data/contract/challenge.ts';
import type { ControlBus } from '../bus.ts';
import { OrderError, type Proof, type Prover } from './authority.ts';
import type { AcmePlan } from './options.ts';
import type { CertificateStorage } from './storage.ts';

/** How often a gateway looks whether another one has put up a challenge. */
export const SHARED_POLL_MS = 3_000;
/** Characters of what the program says. */
const MAX_OUTPUT = 4_096;
const LAST_WORDS_MS = 250;

export interface ProverOptions {
  readonly bus: Pick<ControlBus, 'publish'>;
  readonly storage: CertificateStorage;
  readonly dns: AcmePlan['dns'];
  readonly log: Logger;
  /** Folder that the program is run in. */
  readonly cwd: string;
}

export class ChallengeProver implements Prover {
  readonly #options: ProverOptions;
  readonly #answers = new Map<string, string>();
  readonly #certificates = new Map<string, { readonly cert: string; readonly key: string }>();
  #published = '{}';

  constructor(options: ProverOptions) {
    this.#options = options;
  }

  async present(proof: Proof, signal: AbortSignal): Promise<void> {
    const { storage } = this.#options;
    if (proof.kind === 'dns-01') {
      await this.#runHook('set', proof);
      await delay(this.#options.dns?.waitMs ?? 0, undefined, { signal });
    } else if (proof.kind === 'http-01') {
      this.#answers.set(proof.token, proof.answer);
      if (storage.isShared) await storage.write(`answer/${proof.token}`, proof.answer);
    } else if (proof.certificate !== null) {
      this.#certificates.set(proof.name, proof.certificate);
      this.#publish(this.#certificates);
      if (!storage.isShared) return;
      await storage.write(`handshake/${proof.name}`, JSON.stringify(proof.certificate));
      await delay(2 * SHARED_POLL_MS, undefined, { signal });
    }
  }

  /** What cannot be taken away is no reason to do without the certificate. */
  async remove(proof: Proof): Promise<void> {
    await this.#remove(proof).catch((error: unknown) =>
      this.#options.log.warn('the answer to a challenge was not taken away', {
        name: proof.name,
        problem: messageOf(error),
      }),
    );
  }

  async #remove(proof: Proof): Promise<void> {
    const { storage } = this.#options;
    if (proof.kind === 'dns-01') await this.#runHook('remove', proof);
    else if (proof.kind === 'http-01') {
      this.#answers.delete(proof.token);
      if (storage.isShared) await storage.remove(`answer/${proof.token}`);
    } else {
      this.#certificates.delete(proof.name);
      this.#publish(this.#certificates);
      if (storage.isShared) await storage.remove(`handshake/${proof.name}`);
    }
  }

  /** What other gateways have put up. Rejects when the storage is away. */
  async look(): Promise<void> {
    const all = new Map(this.#certificates);
    for (const [key, value] of await this.#options.storage.list('handshake/')) {
      all.set(key.slice('handshake/'.length), JSON.parse(value) as { cert: string; key: string });
    }
    this.#publish(all);
  }

  /** RFC 8555 §8.3: the key authorization of a token, as plain bytes. */
  readonly fetch = async (request: Request): Promise<Response> => {
    const token = new URL(request.url).pathname.split('/').at(-1) ?? '';
    // A token is base64url (RFC 8555 §8.1); anything else is no token.
    const isToken = /^[A-Za-z0-9_-]{1,200}$/.test(token);
    const answer = isToken ? (this.#answers.get(token) ?? (await this.#answerOfOthers(token))) : null;
    if (answer === null) return new Response('no challenge has this token\n', { status: 404 });
    return new Response(answer, {
      headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' },
    });
  };

  async #answerOfOthers(token: string): Promise<string | null> {
    const { storage } = this.#options;
    return storage.isShared ? storage.read(`answer/${token}`).catch(() => null) : null;
  }

  #publish(certificates: ReadonlyMap<string, { readonly cert: string; readonly key: string }>): void {
    const open: ChallengeCertificates = Object.fromEntries(certificates);
    const written = JSON.stringify(open);
    if (written === this.#published) return;
    this.#published = written;
    this.#options.bus.publish(CHALLENGE_TOPIC, open);
  }

  #runHook(what: 'set' | 'remove', { name, answer }: Proof): Promise<void> {
    const { dns, cwd } = this.#options;
    const [program, ...args] = dns?.command ?? [];
    if (dns === null || program === undefined) return Promise.reject(new OrderError('acme.dns has no command'));
    return runProgram(program, [...args, what, `_acme-challenge.${name}`, answer], cwd, dns.timeoutMs).catch(
      (error: unknown) =>
        Promise.reject(new OrderError(`the command of acme.dns failed to ${what} the record: ${messageOf(error)}`)),
    );
  }
}

/**
 * Resolves when the program itself has ended well, whatever it leaves running; rejects with a reason in plain words. It
 * may print as much as it likes: the end of what it says about a failure is kept.
 */
function runProgram(program: string, args: readonly string[], cwd: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // A group of its own, so that what it has started ends with it. Windows has none.
    const hasGroup = process.platform !== 'win32';
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], detached: hasGroup });
    let said = '';
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      try {
        if (hasGroup && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        else child.kill('SIGKILL');
      } catch {
        // It has just ended.
      }
    }, timeoutMs);
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      said = (said + text).slice(-MAX_OUTPUT);
    });
    child.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      clearTimeout(late);
      reject(new Error(code === 'ENOENT' ? 'there is no such program' : (code ?? message)));
    });
    let isDone = false;
    const done = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (isDone) return;
      isDone = true;
      child.stderr.destroy();
      if (code === 0 && !isLate) resolve();
      else reject(new Error(isLate ? 'it ran for too long' : howItEnded(code, signal, said)));
    };
    child.on('exit', (code, signal) => {
      clearTimeout(late);
      // What it printed last may still be on its way; what it left running may hold the pipe for ever.
      setTimeout(done, LAST_WORDS_MS, code, signal);
    });
    child.on('close', done);
  });
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null, said: string): string {
  const last = said.trim().split('\n').at(-1) ?? '';
  const how = signal === null ? `exit code ${code}` : `it was ended by ${signal}`;
  return `${how}${last === '' ? '' : `: ${last.slice(0, 300)}`}`;
}
