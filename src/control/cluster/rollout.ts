/**
 * A change of configuration, proven before it reaches every gateway. Its state is a row that the queen moves on, one
 * step at a time, so that the next queen goes on where the last one stopped:
 *
 *   checking -> canary -> watching -> waves -> done
 *      |          |          |          |
 *   rejected      +----------+----------+--> rolling-back -> rolled-back
 *
 * checking: every gateway compiles the document with its own secrets and files. canary: a few apply it. watching: they
 * are compared with the others in the same time (gate.ts). waves: the rest, share by share, the gate still open. A
 * version that was rolled back is not taken again unless a person says so (`force`).
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Selectable, Transaction } from 'kysely';
import { readDatabaseTime } from '../store/database-time.ts';
import type { Store, StoreDialect } from '../store/store.ts';
import { addEvent } from './events.ts';
import type { GateSettings } from './gate.ts';
import { judge, since, sumOf } from './gate.ts';
import type { ClusterNode, Traffic } from './members.ts';
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
  /** Why it was rejected or rolled back. */
  readonly reason: string | null;
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
const KEPT_VERSIONS = 200;

export class Rollouts {
  readonly #store: Store<ClusterTables>;

  constructor(store: Store<ClusterTables>) {
    this.#store = store;
  }

  async propose({ document, author, reason, settings, force }: Proposal): Promise<Rollout> {
    const { dialect } = this.#store;
    const hash = createHash('sha256').update(document, 'utf8').digest('hex');
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
      if (!force) await refuseFormerFailure(trx, hash);
      const now = await readDatabaseTime(trx, dialect);
      const last = await trx
        .selectFrom('cluster_versions')
        .select(({ fn }) => fn.max('version').as('version'))
        .executeTakeFirst();
      const version = Number(last?.version ?? 0) + 1;
      await trx
        .insertInto('cluster_versions')
        .values({ version, hash, document, author, reason, created_at: now })
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

// --- the queen's part ----------------------------------------------------------------------------------------------

/** Moves the open rollout on by at most one step. Returns true while one is open. Inside the queen's transaction. */
export async function advanceRollout(
  trx: Transaction<ClusterTables>,
  dialect: StoreDialect,
  nodes: readonly ClusterNode[],
  now: number,
  epoch: number,
): Promise<boolean> {
  const row = await trx
    .selectFrom('cluster_rollouts')
    .selectAll()
    .where('state', 'in', OPEN_ROLLOUT)
    .executeTakeFirst();
  if (row === undefined) return false;
  const rollout = shown(row);
  // Nodes that are gone get the version when they come back.
  const gateways = nodes.filter(
    ({ kind, presence }) => kind === 'gateway' && presence !== 'gone' && presence !== 'left',
  );
  const step: Step = { trx, dialect, rollout, gateways, all: nodes, now, epoch, baseline: baselineOf(row) };
  if (rollout.state === 'checking') await afterChecks(step);
  else if (rollout.state === 'canary') await afterCanary(step);
  else if (rollout.state === 'watching') await afterWatching(step);
  else if (rollout.state === 'waves') await nextWave(step);
  else await afterGoingBack(step);
  return true;
}

interface Step {
  readonly trx: Transaction<ClusterTables>;
  readonly dialect: StoreDialect;
  readonly rollout: Rollout;
  /** Gateways that are there. */
  readonly gateways: readonly ClusterNode[];
  readonly all: readonly ClusterNode[];
  readonly now: number;
  readonly epoch: number;
  /** Counters of each node when the version began to spread. */
  readonly baseline: Readonly<Record<string, { traffic: Traffic | null; incarnation: number; health: string }>>;
}

async function afterChecks(step: Step): Promise<void> {
  const { rollout, gateways, now } = step;
  const { version, settings, stateAtMs } = rollout;
  if (gateways.length === 0) return;
  const refused = gateways.find(({ checkedVersion, checkProblems }) => checkedVersion === version && checkProblems);
  if (refused !== undefined)
    return await finish(step, 'rejected', `${refused.name} refuses it: ${(refused.checkProblems ?? []).join('; ')}`);
  const silent = gateways.filter(({ checkedVersion }) => checkedVersion !== version);
  if (silent.length > 0) {
    if (now - stateAtMs > settings.stepTimeoutMs)
      await finish(step, 'rejected', `${silent.map(({ name }) => name).join(', ')} did not check it in time`);
    return;
  }
  // Nodes that take no traffic prove nothing.
  const useful = gateways.filter(({ state }) => state === 'active');
  const from = useful.length > 0 ? useful : gateways;
  const canary = from.slice(0, Math.max(1, Math.floor(from.length * settings.canaryShare))).map(({ id }) => id);
  await want(step, canary, version);
  await move(step, 'canary', { canary: JSON.stringify(canary), baseline: JSON.stringify(countersOf(gateways)) });
}

async function afterCanary(step: Step): Promise<void> {
  const { rollout, all } = step;
  const canary = all.filter(({ id }) => rollout.canary.includes(id));
  const problem = problemOf(step, canary);
  if (problem !== null) return await back(step, problem);
  if (canary.every(({ appliedVersion }) => appliedVersion === rollout.version))
    await move(step, 'watching', { baseline: JSON.stringify(countersOf(step.gateways)) });
}

async function afterWatching(step: Step): Promise<void> {
  const { rollout, all, now } = step;
  const canary = all.filter(({ id }) => rollout.canary.includes(id));
  const problem = problemOf(step, canary) ?? gateProblem(step);
  if (problem !== null) return await back(step, problem);
  if (now - rollout.stateAtMs >= rollout.settings.watchMs) await move(step, 'waves', {});
}

async function nextWave(step: Step): Promise<void> {
  const { rollout, gateways } = step;
  const { version, wave, settings } = rollout;
  const wanted = gateways.filter(({ wantedVersion }) => wantedVersion === version);
  const problem = problemOf(step, wanted) ?? gateProblem(step);
  if (problem !== null) return await back(step, problem);
  if (wanted.some(({ appliedVersion }) => appliedVersion !== version)) return;
  if (wanted.length === gateways.length) return await finish(step, 'done', null);
  const share = settings.waves[wave] ?? 1;
  const count = Math.max(wanted.length + 1, Math.ceil(gateways.length * share));
  const next = gateways
    .filter(({ wantedVersion }) => wantedVersion !== version)
    .slice(0, count - wanted.length)
    .map(({ id }) => id);
  await want(step, next, version);
  await move(step, 'waves', { wave: wave + 1 });
}

async function afterGoingBack(step: Step): Promise<void> {
  const { rollout, gateways, now } = step;
  const running = gateways.filter(({ appliedVersion }) => appliedVersion === rollout.version);
  if (running.length === 0) return await finish(step, 'rolled-back', rollout.reason);
  // A node that cannot go back must not block the next rollout for ever; its own heartbeat says what it runs.
  if (now - rollout.stateAtMs > 10 * rollout.settings.stepTimeoutMs)
    await finish(
      step,
      'rolled-back',
      `${rollout.reason}; ${running.map(({ name }) => name).join(', ')} did not go back`,
    );
}

/** A node that refuses the version, takes too long, started anew or is gone. */
function problemOf({ rollout, now, baseline }: Step, nodes: readonly ClusterNode[]): string | null {
  for (const { name, id, state, appliedVersion, applyProblem, presence, health, incarnation } of nodes) {
    if (applyProblem !== null && appliedVersion !== rollout.version)
      return `${name} could not apply it: ${applyProblem}`;
    if (presence === 'gone' || presence === 'left') return `${name} is ${presence}`;
    const before = baseline[id];
    if (before !== undefined && incarnation !== before.incarnation) return `${name} started anew with it`;
    // One that was drained, or unhealthy before, says nothing about the version.
    const wasHealthy = state !== 'draining' && before?.health !== 'unhealthy';
    if (appliedVersion === rollout.version && health === 'unhealthy' && wasHealthy)
      return `${name} is unhealthy with it`;
    if (appliedVersion !== rollout.version && now - rollout.stateAtMs > rollout.settings.stepTimeoutMs)
      return `${name} did not apply it in time`;
  }
  return null;
}

/** Nodes with the version against nodes without, since it began to spread. */
function gateProblem({ rollout, gateways, baseline }: Step): string | null {
  const restarted = gateways.find(
    ({ id, appliedVersion, traffic }) =>
      appliedVersion === rollout.version &&
      (traffic?.workerRestarts ?? 0) > (baseline[id]?.traffic?.workerRestarts ?? traffic?.workerRestarts ?? 0),
  );
  if (restarted !== undefined) return `a worker of ${restarted.name} ended with it`;
  const sample = (wanted: boolean) =>
    sumOf(
      gateways
        .filter(({ appliedVersion }) => (appliedVersion === rollout.version) === wanted)
        .map(({ id, traffic }) => since(baseline[id]?.traffic ?? undefined, traffic)),
    );
  return judge(sample(true), sample(false), rollout.settings);
}

function countersOf(nodes: readonly ClusterNode[]): Step['baseline'] {
  return Object.fromEntries(
    nodes.map(({ id, traffic, incarnation, health }) => [id, { traffic, incarnation, health }]),
  );
}

function baselineOf(row: Selectable<RolloutRow>): Step['baseline'] {
  return row.baseline === null ? {} : (JSON.parse(row.baseline) as Step['baseline']);
}

async function want({ trx }: Step, ids: readonly string[], version: number): Promise<void> {
  if (ids.length === 0) return;
  await trx
    .updateTable('cluster_nodes')
    .set({ wanted_version: version, apply_problem: null })
    .where('id', 'in', ids)
    .execute();
}

async function move(step: Step, state: RolloutState, change: Partial<RolloutRow>): Promise<void> {
  const { trx, dialect, rollout, now, epoch } = step;
  await trx
    .updateTable('cluster_rollouts')
    .set({ ...change, state, state_at: now })
    .where('id', '=', rollout.id)
    .execute();
  await addEvent(trx, dialect, {
    type: `rollout.${state}`,
    subject: rollout.id,
    data: { version: rollout.version, ...(change.reason == null ? {} : { reason: change.reason }) },
    epoch,
  });
}

async function finish(step: Step, state: RolloutState, reason: string | null): Promise<void> {
  await move(step, state, { reason });
  const { trx, rollout } = step;
  const version = state === 'done' ? rollout.version : rollout.fromVersion;
  // Also for the nodes that are gone now and come back later.
  await trx.updateTable('cluster_nodes').set({ wanted_version: version }).where('kind', '=', 'gateway').execute();
  await trx
    .deleteFrom('cluster_versions')
    .where('version', '<', rollout.version - KEPT_VERSIONS)
    .where('version', '<>', rollout.fromVersion)
    .execute();
}

async function back(step: Step, reason: string): Promise<void> {
  await goBack(step.trx, step.dialect, step.rollout, reason, step.now, step.epoch);
}

async function goBack(
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

function shown(row: Selectable<RolloutRow>): Rollout {
  return {
    id: row.id,
    version: Number(row.version),
    fromVersion: Number(row.from_version),
    state: row.state as RolloutState,
    stateAtMs: Number(row.state_at),
    reason: row.reason,
    canary: JSON.parse(row.canary) as string[],
    wave: row.wave,
    settings: JSON.parse(row.settings) as RolloutSettings,
    createdBy: row.created_by,
    createdAtMs: Number(row.created_at),
  };
}
