/**
 * Certificates of `tls: auto` as a feature of the control plane: opens the storage, runs the manager, answers
 * challenges, and has a new certificate published to the workers. lazy-feature.ts loads it when a listener says `auto`.
 */
import { createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import { systemTimers } from '../../base/system-timers.ts';
import type { Compiled } from '../config/compile.ts';
import type { OperatorHost } from '../feature.ts';
import { masterKeyFile, masterKeyOf } from '../secrets/master-key.ts';
import { type AuthoritySettings, makeAccountKey, orderCertificate } from './authority.ts';
import type { CertificateEnd } from './ends.ts';
import { CertificateManager, type CertificateReport, type Wishes } from './manager.ts';
import { authorityId, certificateFolder } from './names.ts';
import { ACME_SERVICE, type AcmePlan } from './options.ts';
import { ChallengeProver, SHARED_POLL_MS } from './prover.ts';
import { type CertificateStorage, FolderStorage } from './storage.ts';
import { SqlStorage } from './storage-sql.ts';

export type CertificatesHost = Pick<OperatorHost, 'log' | 'bus' | 'configuration' | 'serveBuiltin'>;

/** Between two looks for certificates that another gateway got. */
const CERTIFICATE_POLL_MS = 30_000;
const OPEN_AGAIN_AFTER_MS = 5_000;
const ANSWER_TIMEOUT_MS = 30_000;
const PENDING_TIMEOUT_MS = 120_000;
/** Shorter than the lock of an order (manager.ts). */
const ORDER_TIMEOUT_MS = 10 * 60_000;

export class CertificatesFeature {
  readonly #host: CertificatesHost;
  #plan: AcmePlan;
  #storage: CertificateStorage | undefined;
  #prover: ChallengeProver | undefined;
  #manager: CertificateManager | undefined;
  #opening: Promise<void> | undefined;
  #looking: NodeJS.Timeout | undefined;
  #settings: AuthoritySettings | undefined;
  #isStopped = false;

  constructor(host: CertificatesHost, plan: AcmePlan) {
    this.#host = host;
    this.#plan = plan;
  }

  /** Nothing waits for a storage that is away: workers have the copies in the data folder. */
  async start(compiled: Compiled): Promise<void> {
    await this.#host.serveBuiltin(
      ACME_SERVICE,
      (request) => this.#prover?.fetch(request) ?? new Response('not ready yet\n', { status: 503 }),
    );
    await this.#open(compiled).catch((error: unknown) => this.#later(compiled, error));
  }

  applied(compiled: Compiled): void {
    const { acme } = compiled.plan.sections;
    if (acme === null) return;
    this.#plan = acme;
    this.#settings = settingsOf(acme, compiled);
    this.#manager?.run(wishesOf(acme));
  }

  /** Keys that hold from the next start on. */
  restartKeys({ plan: { sections } }: Compiled): string[] {
    const next = sections.acme;
    if (next === null) return [];
    const changed: string[] = [];
    if (next.directory !== this.#plan.directory) changed.push('acme.server');
    if ((next.storeUrl === null) !== (this.#plan.storeUrl === null)) changed.push('acme.store');
    if (JSON.stringify(next.dns) !== JSON.stringify(this.#plan.dns)) changed.push('acme.dns');
    return changed;
  }

  metrics(): readonly ExtraMetric[] {
    const manager = this.#manager;
    if (manager === undefined) return [];
    return [
      {
        name: 'gatehouse_acme_orders_total',
        type: 'counter',
        help: 'Orders of certificates, by what became of them',
        samples: Object.entries(manager.orders).map(([result, value]) => ({ labels: { result }, value })),
      },
    ];
  }

  ends(): readonly CertificateEnd[] {
    return this.#manager?.ends() ?? [];
  }

  reports(): readonly CertificateReport[] {
    return this.#manager?.report() ?? [];
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#looking);
    await this.#opening;
    await this.#manager?.close();
    await this.#storage?.close();
  }

  async #open(compiled: Compiled): Promise<void> {
    const plan = this.#plan;
    const { log, bus, configuration } = this.#host;
    const { dataDir, baseDir } = compiled.plan;
    this.#settings = settingsOf(plan, compiled);
    const folder = certificateFolder(dataDir, plan.directory);
    const storage = await openStorage(plan, compiled, folder, log);
    this.#storage = storage;
    const prover = new ChallengeProver({ bus, storage, dns: plan.dns, log, cwd: baseDir });
    this.#prover = prover;
    const manager = new CertificateManager(
      {
        storage,
        folder,
        log,
        clock: systemClock,
        timers: systemTimers,
        random: Math.random,
        pollMs: CERTIFICATE_POLL_MS,
        order: async (name, kind) => {
          const accountKey = await accountKeyOf(storage, log);
          return orderCertificate(this.#settings!, accountKey, name, kind, prover);
        },
        changed: async () => {
          const { ok, problems } = await configuration.rebuild();
          if (!ok) log.error('a new certificate could not be published', { problems });
        },
      },
      wishesOf(plan),
    );
    await manager.open();
    this.#manager = manager;
    if (storage.isShared && plan.challenges.includes('tls-alpn-01')) {
      this.#looking = setInterval(() => void prover.look().catch(() => {}), SHARED_POLL_MS).unref();
    }
  }

  #later(compiled: Compiled, error: unknown): void {
    this.#host.log.error('the storage of certificates cannot be opened', { problem: messageOf(error) });
    this.#opening = (async () => {
      while (!this.#isStopped) {
        await new Promise((resolve) => systemTimers.after(OPEN_AGAIN_AFTER_MS, () => resolve(null)));
        try {
          await this.#storage?.close();
          if (this.#isStopped) return;
          await this.#open(compiled);
          this.#manager?.run(wishesOf(this.#plan));
          return;
        } catch (problem) {
          this.#host.log.error('the storage of certificates still cannot be opened', { problem: messageOf(problem) });
        }
      }
    })();
  }
}

async function openStorage(
  plan: AcmePlan,
  { secrets, plan: { dataDir } }: Compiled,
  folder: string,
  log: CertificatesHost['log'],
): Promise<CertificateStorage> {
  if (plan.storeUrl === null) return new FolderStorage(folder);
  const key = plan.masterKey === null ? undefined : secrets[plan.masterKey];
  const master = key === undefined ? masterKeyFile(join(dataDir, 'identity.key')) : masterKeyOf(key);
  return SqlStorage.open(secrets[plan.storeUrl] ?? '', master, authorityId(plan.directory), log);
}

/** Made once; two gateways that start together may each make one, and the last one written is used from then on. */
async function accountKeyOf(storage: CertificateStorage, log: CertificatesHost['log']): Promise<string> {
  const kept = await storage.read('account');
  if (kept !== null && isPrivateKey(kept)) return kept;
  if (kept !== null) log.warn('the key of the ACME account cannot be read, a new account is made', {});
  const made = await makeAccountKey();
  await storage.write('account', made);
  return made;
}

function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).type === 'private';
  } catch {
    return false;
  }
}

function settingsOf(plan: AcmePlan, { secrets }: Compiled): AuthoritySettings {
  const { directory, email, ca, externalAccount, key } = plan;
  return {
    directory,
    email,
    key,
    ca: ca === null ? null : (secrets[ca] ?? null),
    externalAccount:
      externalAccount === null
        ? null
        : { keyId: externalAccount.keyId, hmacKey: secrets[externalAccount.hmacKey] ?? '' },
    responseTimeoutMs: ANSWER_TIMEOUT_MS,
    pendingTimeoutMs: PENDING_TIMEOUT_MS,
    orderTimeoutMs: ORDER_TIMEOUT_MS + (plan.dns === null ? 0 : plan.dns.waitMs + 2 * plan.dns.timeoutMs),
  };
}

function wishesOf({ names, challenges, renewAtRatio }: AcmePlan): Wishes {
  return { names, challenges, renewAtRatio };
}
