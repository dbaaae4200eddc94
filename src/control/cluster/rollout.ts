/**
 * A change of configuration, proven before it reaches every gateway. Its state is a row that the queen moves on, one
 * step at a time, so that the next queen goes on where the last one stopped:
 *
 *   checking -> canary -> watching -> waves -> done
 *      |          |          |          |
 *   rejected      +----------+----------+--> rolling-back -> rolled-back
 *
 * checking: every gateway compiles the document with its own secrets and files. canary: a few apply it. watching: they
 * are compared with the others in the same time (gate.ts). waves: the rest, share by share, each compared as well. A
 * version that was rolled back is not taken again unless a person says so (`force`). Here is what people do with it and
 * how it is kept; what the queen does is in rollout-steps.ts.
 */
import { hash, randomUUID } from 'node:crypto';
import type { Selectable, Transaction } from 'kysely';
import { readDatabaseTime } from '../store/database-time.ts';
import type { Store, StoreDialect } from '../store/store.ts';
import { addEvent } from './events.ts';
import type { GateSample, GateSettings } from './gate.ts';
import type { Traffic } from './members.ts';
import { currentVersion, OPEN_ROLLOUT } from './members.ts';
import { ClusterRefusal, conflict, notFound } from './refusal.ts';
import type { ClusterTables, RolloutRow } from './tables.ts';

export type RolloutState =
  | 'checking'
  | 'canary'
  | 'watching'
  | 'waves'
  | 'rolling-back'
  | 'done'
  | 'rejected'
  | 'rolled-back';

export interface RolloutSettings extends GateSettings {
  /** Share of the gateways that try it first; at least one. */
  readonly canaryShare: number;
  /** How long the canary is watched. */
  readonly watchMs: number;
  /** Longest time that it is watched until it can be judged, and is rolled back then; null: it spreads unjudged. */
  readonly judgeWithinMs: number | null;
  /** How long each wave is watched. */
  readonly waveWatchMs: number;
  /** Longest time for a check, and for each step until the nodes run the version. */
  readonly stepTimeoutMs: number;
  /** Shares of all gateways that follow, the last one 1. */
  readonly waves: readonly number[];
}

export interface Rollout {
  readonly id: string;
  readonly version: number;
  readonly fromVersion: number;
  readonly state: RolloutState;
  readonly stateAtMs: number;
  /** Why it was rejected or rolled back, or why it is `done` without having been judged. */
  readonly reason: string | null;
  /** Had the canary the traffic that it takes to judge? Null before it was watched. */
  readonly isJudged: boolean | null;
  readonly canary: readonly string[];
  readonly wave: number;
  readonly settings: RolloutSettings;
  readonly createdBy: string;
  readonly createdAtMs: number;
}

export interface Version {
  readonly version: number;
  readonly hash: string;
  readonly document: string;
  readonly author: string;
  readonly reason: string;
  readonly createdAtMs: number;
}

/** What nodes are compared with, kept in the row. */
export interface Baseline {
  /** Counters of each node when the version began to spread, or when the wave ran it. */
  readonly nodes: Readonly<Record<string, { traffic: Traffic | null; incarnation: number; health: string }>>;
  /** How the nodes without the version did, when last any had traffic: the last wave has no others. */
  readonly reference: GateSample | null;
  /** Since when all of the wave run it, by the clock of the store. */
  readonly sinceMs: number | null;
  readonly isJudged: boolean | null;
  /** Why not. */
  readonly unjudged: string | null;
}

export interface Proposal {
  /** YAML or JSON. */
  readonly document: string;
  readonly author: string;
  readonly reason: string;
  readonly settings: RolloutSettings;
  /** Take a document again that was rolled back before. */
  readonly force: boolean;
}

/** Versions are kept whole; of so many the oldest are forgotten. */
export const KEPT_VERSIONS = 200;

export class Rollouts {
  readonly #store: Store<ClusterTables>;

  constructor(store: Store<ClusterTables>) {
    this.#store = store;
  }

  async propose({ document, author, reason, settings, force }: Proposal): Promise<Rollout> {
    const { dialect } = this.#store;
    const digest = hash('sha256', document, 'hex');
    return await this.#store.transaction(async (trx) => {
      // One proposal at a time: the row of the fence is what they wait for.
      await trx
        .insertInto('cluster_leases')
        .values({ name: 'proposals', holder: '', epoch: 1, until: 0 })
        .onConflict((taken) =>
          taken.column('name').doUpdateSet((row) => ({ epoch: row('cluster_leases.epoch', '+', 1) })),
        )
        .execute();
      const open = await trx
        .selectFrom('cluster_rollouts')
        .select('id')
        .where('state', 'in', OPEN_ROLLOUT)
        .executeTakeFirst();
      if (open !== undefined) throw conflict('ROLLOUT_OPEN', `rollout ${open.id} is not finished`);
      if (!force) await refuseFormerFailure(trx, digest);
      const now = await readDatabaseTime(trx, dialect);
      const last = await trx
        .selectFrom('cluster_versions')
        .select(({ fn }) => fn.max('version').as('version'))
        .executeTakeFirst();
      const version = Number(last?.version ?? 0) + 1;
      await trx
        .insertInto('cluster_versions')
        .values({ version, hash: digest, document, author, reason, created_at: now })
        .execute();
      const { version: from } = await currentVersion(trx);
      const row = await trx
        .insertInto('cluster_rollouts')
        .values({
          id: randomUUID(),
          version,
          from_version: from,
          state: 'checking',
          state_at: now,
          reason: null,
          canary: '[]',
          wave: 0,
          settings: JSON.stringify(settings),
          baseline: null,
          created_by: author,
          created_at: now,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      await addEvent(trx, dialect, {
        type: 'rollout.checking',
        subject: row.id,
        data: { version, by: author, reason },
      });
      return shown(row);
    });
  }

  /** A person ends it: what runs the version goes back. */
  async abort(id: string, by: string, why: string): Promise<Rollout> {
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const row = await trx.selectFrom('cluster_rollouts').selectAll().where('id', '=', id).executeTakeFirst();
      if (row === undefined) throw notFound('rollout', id);
      if (!(OPEN_ROLLOUT as readonly string[]).includes(row.state) || row.state === 'rolling-back')
        throw conflict('ROLLOUT_OVER', `the rollout is ${row.state}`);
      const now = await readDatabaseTime(trx, dialect);
      return await goBack(trx, dialect, shown(row), `aborted by ${by}: ${why}`, now, undefined);
    });
  }

  async get(id: string): Promise<Rollout> {
    const row = await this.#store.db.selectFrom('cluster_rollouts').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined) throw notFound('rollout', id);
    return shown(row);
  }

  /** Newest first. */
  async list(limit: number): Promise<readonly Rollout[]> {
    const rows = await this.#store.db
      .selectFrom('cluster_rollouts')
      .selectAll()
      .orderBy('created_at', 'desc')
      .limit(limit)
      .execute();
    return rows.map(shown);
  }

  async version(version: number): Promise<Version> {
    const row = await this.#store.db
      .selectFrom('cluster_versions')
      .selectAll()
      .where('version', '=', version)
      .executeTakeFirst();
    if (row === undefined) throw notFound('version', String(version));
    const { created_at, ...rest } = row;
    return { ...rest, version: Number(row.version), createdAtMs: Number(created_at) };
  }

  async versions(limit: number): Promise<readonly Omit<Version, 'document'>[]> {
    const rows = await this.#store.db
      .selectFrom('cluster_versions')
      .select(['version', 'hash', 'author', 'reason', 'created_at'])
      .orderBy('version', 'desc')
      .limit(limit)
      .execute();
    return rows.map(({ created_at, version, ...rest }) => ({
      ...rest,
      version: Number(version),
      createdAtMs: Number(created_at),
    }));
  }
}

async function refuseFormerFailure(trx: Transaction<ClusterTables>, hash: string): Promise<void> {
  const failed = await trx
    .selectFrom('cluster_rollouts')
    .innerJoin('cluster_versions', 'cluster_versions.version', 'cluster_rollouts.version')
    .select(['cluster_rollouts.version as version', 'cluster_rollouts.reason as reason'])
    .where('cluster_versions.hash', '=', hash)
    .where('cluster_rollouts.state', '=', 'rolled-back')
    .executeTakeFirst();
  if (failed === undefined) return;
  throw conflict(
    'ROLLED_BACK_BEFORE',
    `the same document was rolled back as version ${failed.version} (${failed.reason}); say force to try again`,
  );
}

/** All that run the version go back to the one before. */
export async function goBack(
  trx: Transaction<ClusterTables>,
  dialect: StoreDialect,
  rollout: Rollout,
  reason: string,
  now: number,
  epoch: number | undefined,
): Promise<Rollout> {
  const row = await trx
    .updateTable('cluster_rollouts')
    .set({ state: 'rolling-back', state_at: now, reason })
    .where('id', '=', rollout.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await trx
    .updateTable('cluster_nodes')
    .set({ wanted_version: rollout.fromVersion, apply_problem: null })
    .where('kind', '=', 'gateway')
    .execute();
  await addEvent(trx, dialect, {
    type: 'rollout.rolling-back',
    subject: rollout.id,
    data: { version: rollout.version, reason },
    ...(epoch === undefined ? {} : { epoch }),
  });
  return shown(row);
}

export function checkSettings(settings: RolloutSettings): void {
  const last = settings.waves.at(-1);
  if (last === 1 && settings.waves.every((share, i) => share > (settings.waves[i - 1] ?? 0))) return;
  throw new ClusterRefusal(400, 'VALIDATION_ERROR', 'waves is not valid', [
    { field: 'waves', value: settings.waves, expected: 'shares that grow and end with 1, such as [0.5, 1]' },
  ]);
}

export function baselineOf(row: Pick<Selectable<RolloutRow>, 'baseline'>): Baseline {
  const empty: Baseline = { nodes: {}, reference: null, sinceMs: null, isJudged: null, unjudged: null };
  return row.baseline === null ? empty : { ...empty, ...(JSON.parse(row.baseline) as Partial<Baseline>) };
}

/** What a rollout has not that a gateway of an older version proposed. */
const NOT_WRITTEN: Pick<RolloutSettings, 'judgeWithinMs' | 'waveWatchMs'> = { judgeWithinMs: null, waveWatchMs: 0 };

export function shown(row: Selectable<RolloutRow>): Rollout {
  return {
    id: row.id,
    version: Number(row.version),
    fromVersion: Number(row.from_version),
    state: row.state as RolloutState,
    stateAtMs: Number(row.state_at),
    reason: row.reason,
    canary: JSON.parse(row.canary) as string[],
    wave: row.wave,
    isJudged: baselineOf(row).isJudged,
    settings: { ...NOT_WRITTEN, ...(JSON.parse(row.settings) as RolloutSettings) },
    createdBy: row.created_by,
    createdAtMs: Number(row.created_at),
  };
}
