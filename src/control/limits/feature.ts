/**
 * Limits as a feature of the control plane: publishes plans, settings and rules to the workers, keeps quotas and bans
 * in SQL, answers what workers ask, and serves the API of usage and bans: `builtin:limits` for the gateway's routes,
 * and a socket of its own for the command line. It only connects; the parts are beside it.
 */
import { join } from 'node:path';
import { type Clock, systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric, HistogramMetric } from '../../base/extra-metric.ts';
import { once } from '../../base/once.ts';
import {
  ABUSE_RULES_TOPIC,
  type AbuseRules,
  type AbuseTrip,
  BANS_TOPIC,
  COUNTS_TOPIC,
  type LimiterSettings,
  OCCUPANCY_TOPIC,
  PLANS_TOPIC,
  type PlansSettings,
  QUOTA_TOPIC,
  QUOTA_USED_TOPIC,
  type QuotaQuestion,
  type QuotaReport,
  SETTINGS_TOPIC,
  SHARED_TOPIC,
  type SharedState,
  type TableOccupancy,
  TRIP_TOPIC,
} from '../../data/contract/limits.ts';
import type { ErrorFormat, Secrets } from '../../data/contract/snapshot.ts';
import type { FeatureHost } from '../feature.ts';
import type { Dependency, FeatureStatus } from '../feature-status.ts';
import type { Fetch } from '../local-server.ts';
import { LATELY, RecentGrowth } from '../recent-growth.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import type { StoresPlan } from '../store/stores-section.ts';
import type { AbusePlan } from './bans/abuse-options.ts';
import { RedisBanShare } from './bans/ban-share.ts';
import { BanBook } from './bans/bans.ts';
import { FactBanShare } from './bans/fact-share.ts';
import { gatewayCaller, localCaller, type ReadCaller } from './http.ts';
import { limitMetrics, type Utilisation, WorkerCounts } from './metrics.ts';
import type { LimitsPlan } from './options.ts';
import type { Plan } from './plans/plans.ts';
import { type QuotaBasis, QuotaLedger } from './quotas/quota-ledger.ts';
import type { QuotaDefinitions } from './quotas/quota-options.ts';
import { type PlanUtilisation, UsageReader } from './quotas/usage.ts';
import { SharedCounting } from './shared-counting.ts';
import { type LimitTables, MIGRATIONS } from './tables.ts';

/** What it reads of a compiled configuration. */
export interface CompiledLimits {
  readonly snapshot: { readonly gateway: { readonly errorFormat: ErrorFormat } };
  readonly secrets: Secrets;
  readonly plan: {
    readonly dataDir: string;
    readonly sections: {
      readonly stores: StoresPlan;
      readonly limits: LimitsPlan;
      readonly plans: Readonly<Record<string, Plan>>;
      readonly quotas: QuotaDefinitions;
      readonly abuse: AbusePlan | null;
    };
  };
}

/** What it needs of the process around it. */
export type LimitsHost = Pick<FeatureHost, 'log' | 'bus' | 'serveBuiltin'> &
  Partial<Pick<FeatureHost, 'workerThreads' | 'facts'>> & {
    readonly security?: FeatureHost['security'];
    /** For tests. Default the system's. */
    readonly clock?: Clock;
  };

/** Adding up a period reads all its accounts, so it is done this seldom. */
const RATIOS_EVERY_MS = 30_000;
/** Longest wait for the database at the end. */
const LAST_WRITES_MS = 5_000;
/** Bans that administrators make are kept the same way when no rules are configured. */
const DEFAULT_BAN_TIMES = { firstMs: 600_000, factor: 2, longestMs: 86_400_000, forgetMs: 7 * 86_400_000 };
const DEFAULT_MAX_BANS = 10_000;
/** Nothing counts. */
const NO_ABUSE: AbuseRules = { rules: [], exempt: [], scanPaths: [] };

export class LimitsFeature {
  readonly #host: LimitsHost;
  readonly #clock: Clock;
  readonly #workers = new WorkerCounts();
  readonly #overflows = new RecentGrowth(() => this.#workers.get('overflowed'));
  readonly #counting: SharedCounting;
  readonly #utilisation = new Map<string, Utilisation>();
  readonly #ratios = new Map<string, { readonly quota: string; readonly plan: string; readonly ratio: number }>();
  #ratiosAtMs = Number.NEGATIVE_INFINITY;
  #usage: UsageReader | undefined;
  #compiled: CompiledLimits | undefined;
  #store: Store<LimitTables> | undefined;
  #storeUrl: string | undefined;
  #control: Fetch | undefined;
  #ledger: QuotaLedger | undefined;
  #bans: BanBook | undefined;
  #share: { readonly share: RedisBanShare; readonly madeFrom: string } | undefined;
  #clusterShare: FactBanShare | null = null;

  constructor(host: LimitsHost) {
    this.#host = host;
    this.#counting = new SharedCounting(host.log, () => host.workerThreads?.() ?? null);
    this.#clock = host.clock ?? systemClock;
  }

  /** Rejects when the database cannot be opened or is newer than this program. */
  async start(compiled: CompiledLimits): Promise<void> {
    const { log, bus } = this.#host;
    this.#overflows.start();
    this.#compiled = compiled;
    this.#storeUrl = storeUrl(compiled);
    const store = await openStore<LimitTables>(this.#storeUrl, { log });
    this.#store = store;
    await migrate(store, 'limits', MIGRATIONS);
    const problem = (error: unknown): void => log.error('quotas could not be counted', { reason: messageOf(error) });
    const ledger = new QuotaLedger(store, basisOf(compiled), problem, this.#clock);
    this.#ledger = ledger;
    ledger.begin();
    const { times = DEFAULT_BAN_TIMES, maxBans = DEFAULT_MAX_BANS } = compiled.plan.sections.abuse ?? {};
    const bans = new BanBook({
      store,
      log,
      publish: (all) => bus.publish(BANS_TOPIC, all),
      times,
      maxBans,
      clock: this.#clock,
      ...(this.#host.security === undefined ? {} : { tellSecurity: this.#host.security.tell }),
    });
    this.#bans = bans;
    await bans.load();
    const { facts } = this.#host;
    this.#clusterShare =
      facts === undefined ? null : new FactBanShare(facts, bans, log, () => this.#share === undefined);
    bans.shareWith(this.#clusterShare);
    this.#publish(compiled);
    bus.onAsk(QUOTA_TOPIC, async (data) => await this.#grant(ledger, data as QuotaQuestion));
    bus.onTell(QUOTA_USED_TOPIC, (data) => ledger.report(data as readonly QuotaReport[]));
    bus.onTell(TRIP_TOPIC, (data) => void bans.trip(data as AbuseTrip));
    bus.onTell(COUNTS_TOPIC, (data) => this.#workers.add(data as Readonly<Record<string, number>>));
    bus.onTell(SHARED_TOPIC, (data) =>
      this.#counting.take(data as SharedState, this.#compiled?.plan.sections.limits.redis.fallback ?? 'local'),
    );
    bus.onTell(OCCUPANCY_TOPIC, (data) => {
      this.#workers.occupancy = data as TableOccupancy;
    });
    const quotas = (): QuotaDefinitions => this.#compiled?.plan.sections.quotas ?? {};
    const usage = new UsageReader(store, ledger, quotas, this.#clock);
    this.#usage = usage;
    const adminIssuers = () => this.#compiled?.plan.sections.limits.adminIssuers ?? [];
    await this.#host.serveBuiltin('builtin:limits', this.#app('/api/v1', gatewayCaller(adminIssuers), usage, bans));
    const control = this.#app('/', localCaller, usage, bans);
    this.#control = control;
    await this.#host.serveBuiltin('builtin:limits-control', control);
  }

  /** Usage and bans, for the admin API. */
  operations() {
    return this.#control === undefined ? undefined : { name: 'limits', fetch: this.#control, describe };
  }

  /** The database is opened once. */
  restartKeys(next: CompiledLimits): string[] {
    return this.#storeUrl === undefined || storeUrl(next) === this.#storeUrl ? [] : ['stores.sql'];
  }

  applied(compiled: CompiledLimits): void {
    if (this.#store === undefined) return;
    this.#compiled = compiled;
    this.#ledger?.configure(basisOf(compiled));
    const { abuse } = compiled.plan.sections;
    this.#bans?.configure(abuse?.times ?? DEFAULT_BAN_TIMES, abuse?.maxBans ?? DEFAULT_MAX_BANS);
    this.#publish(compiled);
  }

  /** Its workers may have banned callers until the end. */
  predecessorGone(): void {
    this.#bans?.reread().catch((error: unknown) => {
      this.#host.log.error('bans of the former process are not known', { reason: messageOf(error) });
    });
  }

  dependencies(): Dependency[] {
    const found: Dependency[] = [];
    // Each machine goes on alone without it.
    if (this.#share !== undefined) {
      const isAlone = this.#counting.isAlone;
      const detail = { limits: isAlone ? 'counted by this machine alone' : 'shared' };
      found.push({ name: 'redis', available: this.#share.share.isConnected && !isAlone, required: false, detail });
    }
    const problem = this.#store?.problem() ?? null;
    if (problem !== null) found.push({ name: 'limits store', available: false, required: false, detail: { problem } });
    return found;
  }

  status(): FeatureStatus {
    const { lately } = this.#overflows;
    if (lately === 0) return {};
    const message = `${lately} decisions ${LATELY} found no room in the table: raise limits.memory`;
    return { troubles: [{ severity: 'warning', subject: 'limits', message }] };
  }

  metrics(): readonly (ExtraMetric | HistogramMetric)[] {
    return limitMetrics(this.#workers, {
      bansActive: this.#bans?.activeCount ?? 0,
      bansMade: this.#bans?.madeByRule ?? new Map(),
      ledger: this.#ledger ?? null,
      utilisation: this.#utilisation,
      ratios: this.#knownRatios(),
    });
  }

  /**
   * The database's last reply; each read starts a new query for the next one, so reads never wait and idle gateways
   * query nothing.
   */
  #knownRatios() {
    const nowMs = this.#clock.monotonicMs();
    const hasQuotas = Object.keys(this.#compiled?.plan.sections.quotas ?? {}).length > 0;
    if (this.#usage !== undefined && hasQuotas && nowMs - this.#ratiosAtMs >= RATIOS_EVERY_MS) {
      this.#ratiosAtMs = nowMs;
      const failed = (error: unknown): void =>
        this.#host.log.warn('the utilisation of quotas is not known', { reason: messageOf(error) });
      this.#usage.utilisation().then((rows) => this.#setRatios(rows), failed);
    }
    return [...this.#ratios.values()];
  }

  #setRatios(rows: readonly PlanUtilisation[]): void {
    const { plans = {}, limits } = this.#compiled?.plan.sections ?? {};
    const sums = new Map<string, { quota: string; plan: string; used: number; amount: number }>();
    for (const { quota, plan, used, amount } of rows) {
      const named = plan ?? limits?.defaultPlan ?? '';
      const known = Object.hasOwn(plans, named) ? named : 'other';
      const sum = sums.get(`${quota} ${known}`) ?? { quota, plan: known, used: 0, amount: 0 };
      sums.set(`${quota} ${known}`, { ...sum, used: sum.used + used, amount: sum.amount + amount });
    }
    this.#ratios.clear();
    for (const [key, { quota, plan, used, amount }] of sums)
      this.#ratios.set(key, { quota, plan, ratio: used / amount });
  }

  async stop(): Promise<void> {
    this.#overflows.stop();
    this.#share?.share.close();
    this.#bans?.close();
    const unwritten = (await this.#ledger?.close(LAST_WRITES_MS)) ?? 0;
    if (unwritten > 0) this.#host.log.error('usage was lost: the database is away', { reports: unwritten });
    await this.#store?.close();
    this.#store = undefined;
  }

  async #grant(ledger: QuotaLedger, question: QuotaQuestion) {
    const answer = await ledger.ask(question);
    const plans = this.#compiled?.plan.sections.plans ?? {};
    // Undefined plans share one label.
    const plan = question.plan !== null && Object.hasOwn(plans, question.plan) ? question.plan : 'other';
    const key = `${question.quota} ${plan}`;
    const before = this.#utilisation.get(key) ?? { quota: question.quota, plan, granted: 0, refused: 0 };
    this.#utilisation.set(key, {
      ...before,
      granted: before.granted + answer.granted,
      refused: before.refused + (answer.granted === 0 ? 1 : 0),
    });
    return answer;
  }

  #publish(compiled: CompiledLimits): void {
    const { bus } = this.#host;
    const { plans, limits, stores, abuse } = compiled.plan.sections;
    const published: PlansSettings = {
      defaultPlan: limits.defaultPlan,
      plans: Object.fromEntries(
        Object.entries(plans).map(([name, { limits: rules, occasions }]) => [name, { limits: rules, occasions }]),
      ),
    };
    bus.publish(PLANS_TOPIC, published);
    const settings: LimiterSettings = {
      ...limits.settings,
      ...(stores.redis === null ? {} : { redis: { ...limits.redis, url: stores.redis } }),
    };
    bus.publish(SETTINGS_TOPIC, settings);
    bus.publish(ABUSE_RULES_TOPIC, abuse?.rules ?? NO_ABUSE);
    this.#connect(compiled);
  }

  #connect({ plan, secrets }: CompiledLimits): void {
    const { stores, limits } = plan.sections;
    const url = stores.redis === null ? undefined : secrets[stores.redis];
    const madeFrom = url === undefined ? '' : `${limits.redis.prefix} ${url}`;
    if ((this.#share?.madeFrom ?? '') === madeFrom || this.#bans === undefined) return;
    this.#share?.share.close();
    this.#share = undefined;
    // Redis where there is one, else the store of the cluster, where this node is in one.
    this.#bans.shareWith(this.#clusterShare);
    if (url === undefined) return;
    const share = new RedisBanShare({ url, prefix: limits.redis.prefix, bans: this.#bans, log: this.#host.log });
    this.#bans.shareWith(share);
    this.#share = { share, madeFrom };
  }

  #app(path: string, caller: ReadCaller, usage: UsageReader, bans: BanBook): Fetch {
    const app = once(async () => {
      const { createLimitsApp } = await import('./app.ts');
      return createLimitsApp({
        path,
        caller,
        usage,
        bans,
        log: this.#host.log,
        clock: this.#clock,
        errorFormat: () => this.#compiled?.snapshot.gateway.errorFormat ?? 'problem',
        watches: () => (this.#compiled?.plan.sections.abuse ?? null) !== null,
        shownPlans: () => this.#shownPlans(),
      });
    });
    return async (request) => (await app()).fetch(request);
  }

  /** What anybody may know: how much each plan allows. */
  #shownPlans() {
    const { plans = {}, limits } = this.#compiled?.plan.sections ?? {};
    return Object.entries(plans).map(([name, plan]) => ({
      name,
      default: name === limits?.defaultPlan,
      limits: plan.limits.map(({ limit, windowMs, burst }) => ({ limit, window_seconds: windowMs / 1_000, burst })),
      quotas: plan.quotas,
    }));
  }
}

function storeUrl({ plan, secrets }: CompiledLimits): string {
  const { sql } = plan.sections.stores;
  const url = sql === null ? undefined : secrets[sql];
  return url ?? `sqlite:${join(plan.dataDir, 'usage.db')}`;
}

function basisOf({ plan: { sections } }: CompiledLimits): QuotaBasis {
  return { quotas: sections.quotas, plans: sections.plans, defaultPlan: sections.limits.defaultPlan };
}

/** For the document of the admin API. */
const describe = async () => (await import('./operator-description.ts')).operatorPaths();
