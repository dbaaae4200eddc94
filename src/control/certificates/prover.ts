/**
 * Answers what an authority asks to prove a name: over HTTP (`builtin:acme`), by a certificate for one handshake, or by
 * a record that a program of the user's sets. Where gateways share a database any of them may be asked, so the answers
 * of the first two are in the storage as well.
 */
import { execFile } from 'node:child_process';
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
const MAX_OUTPUT = 64 * 1024;

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

  async present(proof: Proof): Promise<void> {
    const { storage } = this.#options;
    if (proof.kind === 'dns-01') {
      await this.#runHook('set', proof);
      await delay(this.#options.dns?.waitMs ?? 0);
    } else if (proof.kind === 'http-01') {
      this.#answers.set(proof.token, proof.answer);
      if (storage.isShared) await storage.write(`answer/${proof.token}`, proof.answer);
    } else if (proof.certificate !== null) {
      this.#certificates.set(proof.name, proof.certificate);
      this.#publish(this.#certificates);
      if (!storage.isShared) return;
      await storage.write(`handshake/${proof.name}`, JSON.stringify(proof.certificate));
      await delay(2 * SHARED_POLL_MS);
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
    return new Promise((resolve, reject) => {
      execFile(
        program,
        [...args, what, `_acme-challenge.${name}`, answer],
        { cwd, timeout: dns.timeoutMs, maxBuffer: MAX_OUTPUT, killSignal: 'SIGKILL' },
        (error, _stdout, stderr) => {
          if (error === null) resolve();
          else
            reject(new OrderError(`the command of acme.dns failed to ${what} the record: ${reasonOf(error, stderr)}`));
        },
      );
    });
  }
}

function reasonOf(error: Error & { code?: unknown; killed?: boolean }, stderr: string): string {
  if (error.killed === true) return 'it ran for too long';
  const said = stderr.trim().split('\n').at(-1) ?? '';
  if (typeof error.code === 'string') return error.code === 'ENOENT' ? 'there is no such program' : error.code;
  return `exit code ${String(error.code)}${said === '' ? '' : `: ${said.slice(0, 300)}`}`;
}
