/**
 * Certificates of `tls: auto` as a feature of the control plane: opens the storage, runs the manager, answers
 * challenges, and has a new certificate published to the workers. lazy-feature.ts loads it when a listener says `auto`.
 */
import { createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import { systemTimers } from '../../base/system-timers.ts';
import type { Compiled } from '../config/compile.ts';
import type { OperationsApi, OperatorHost } from '../feature.ts';
import { masterKeyFile, masterKeyOf } from '../secrets/master-key.ts';
import { certificatesApi } from './api.ts';
import { type AuthoritySettings, makeAccountKey, orderCertificate } from './authority.ts';
import type { CertificateEnd } from './ends.ts';
import { CertificateManager, type CertificateReport, type Wishes } from './manager.ts';
import { authorityId, certificateFolder } from './names.ts';
import { ACME_SERVICE, type AcmePlan } from './options.ts';
import { ChallengeProver, SHARED_POLL_MS } from './prover.ts';
import { type CertificateStorage, FolderStorage } from './storage.ts';
import { SqlStorage } from './storage-sql.ts';

export type CertificatesHost = Pick<OperatorHost, 'log' | 'bus' | 'configuration' | 'serveBuiltin' | 'compiled'>;

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
  #compiled: Compiled | undefined;
  #storage: CertificateStorage | undefined;
  #prover: ChallengeProver | undefined;
  #manager: CertificateManager | undefined;
  #opening: Promise<void> | undefined;
  readonly #orders = { issued: 0, failed: 0 };
  #looking: NodeJS.Timeout | undefined;
  #settings: AuthoritySettings | undefined;
  readonly #stopping = new AbortController();

  constructor(host: CertificatesHost, plan: AcmePlan) {
    this.#host = host;
    this.#plan = plan;
  }

  /** Nothing waits for a storage that is away: workers have the copies in the data folder. */
  async start(compiled: Compiled): Promise<void> {
    this.#compiled = compiled;
    await this.#host.serveBuiltin(
      ACME_SERVICE,
      (request) => this.#prover?.fetch(request) ?? new Response('not ready yet\n', { status: 503 }),
    );
    await this.#open().catch((error: unknown) => {
      this.#opening = this.#openLater(error);
    });
  }

  /** Without a listener that says `auto` nothing is ordered, renewed or said to end any more. */
  applied(compiled: Compiled): void {
    const before = this.#place();
    const { acme } = compiled.plan.sections;
    this.#plan = acme ?? { ...this.#plan, names: [] };
    this.#compiled = compiled;
    this.#settings = settingsOf(this.#plan, compiled);
    if (acme === null || this.#place() === before) this.#run();
    else this.#reopen();
  }

  metrics(): readonly ExtraMetric[] {
    return [
      {
        name: 'gatehouse_acme_orders_total',
        type: 'counter',
        help: 'Orders of certificates, by what became of them',
        samples: Object.entries(this.#orders).map(([result, value]) => ({ labels: { result }, value })),
      },
    ];
  }

  ends(): readonly CertificateEnd[] {
    return this.#manager?.ends() ?? [];
  }

  reports(): readonly CertificateReport[] {
    return this.#manager?.report() ?? [];
  }

  operations(): OperationsApi {
    const fetch = certificatesApi(
      () => this.#manager,
      () => this.#host.compiled.snapshot.gateway.errorFormat,
    );
    return { name: 'certificates', fetch, describe };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#manager?.close();
    await this.#opening;
    await this.#close();
  }

  /** Where certificates come from, are kept and are proved: what another one needs opened anew. */
  #place(): string {
    const { directory, storeUrl, masterKey, dns, challenges } = this.#plan;
    const secrets = this.#compiled?.secrets ?? {};
    return JSON.stringify([directory, secrets[storeUrl ?? ''], secrets[masterKey ?? ''], dns, challenges]);
  }

  /** Another authority, storage or way to prove by DNS, without a restart. */
  #reopen(): void {
    const before = this.#opening;
    const closed = this.#manager?.close();
    this.#opening = (async () => {
      await before;
      await closed;
      await this.#close();
      if (this.#stopping.signal.aborted) return;
      try {
        await this.#open();
        this.#run();
      } catch (error) {
        await this.#openLater(error);
      }
    })();
  }

  #run(): void {
    if (!this.#stopping.signal.aborted) this.#manager?.run(wishesOf(this.#plan));
  }

  async #close(): Promise<void> {
    clearInterval(this.#looking);
    await this.#manager?.close();
    this.#manager = undefined;
    await this.#storage?.close();
    this.#storage = undefined;
  }

  /** Tries again until it is open or the gateway stops. */
  async #openLater(reason: unknown): Promise<void> {
    const { log } = this.#host;
    const { signal } = this.#stopping;
    log.error('the storage of certificates cannot be opened', { problem: messageOf(reason) });
    for (;;) {
      await delay(OPEN_AGAIN_AFTER_MS, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#close();
        await this.#open();
        return this.#run();
      } catch (error) {
        log.error('the storage of certificates still cannot be opened', { problem: messageOf(error) });
      }
    }
  }

  async #open(): Promise<void> {
    const plan = this.#plan;
    const compiled = this.#compiled!;
    const { log, bus, configuration } = this.#host;
    const { dataDir, baseDir } = compiled.plan;
    const settings = settingsOf(plan, compiled);
    this.#settings = settings;
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
        orders: this.#orders,
        pollMs: CERTIFICATE_POLL_MS,
        order: async (name, kind, signal) => {
          const accountKey = await accountKeyOf(storage, log);
          return orderCertificate(this.#settings!, accountKey, name, kind, prover, signal);
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

/** For the document of the admin API. */
const describe = async () => (await import('./operator-description.ts')).operatorPaths();
