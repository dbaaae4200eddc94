/**
 * What the queen does with the open rollout (rollout.ts), one step a round: what the gateways have reported decides
 * whether it goes on, waits or goes back. All of a step is written in the queen's transaction.
 */
import type { Transaction } from 'kysely';
import { formatDuration } from '../../base/units.ts';
import type { StoreDialect } from '../store/store.ts';
import { addEvent } from './events.ts';
import { type GateSample, judge, since, sumOf, type Verdict } from './gate.ts';
import type { ClusterNode } from './members.ts';
import { OPEN_ROLLOUT } from './members.ts';
import { type Baseline, baselineOf, goBack, KEPT_VERSIONS, type Rollout, type RolloutState, shown } from './rollout.ts';
import type { ClusterTables, RolloutRow } from './tables.ts';

/** How a rollout ended, for the metrics of the queen. */
export interface RolloutEnd {
  readonly state: 'done' | 'rejected' | 'rolled-back';
  readonly isJudged: boolean;
}

/** `idle`: no rollout is open. */
export type Advance = 'idle' | 'open' | RolloutEnd;

/** Moves the open rollout on by at most one step. Inside the queen's transaction. */
export async function advanceRollout(
  trx: Transaction<ClusterTables>,
  dialect: StoreDialect,
  nodes: readonly ClusterNode[],
  now: number,
  epoch: number,
): Promise<Advance> {
  const row = await trx
    .selectFrom('cluster_rollouts')
    .selectAll()
    .where('state', 'in', OPEN_ROLLOUT)
    .executeTakeFirst();
  if (row === undefined) return 'idle';
  const rollout = shown(row);
  // Nodes that are gone get the version when they come back.
  const gateways = nodes.filter(
    ({ kind, presence }) => kind === 'gateway' && presence !== 'gone' && presence !== 'left',
  );
  const step: Step = { trx, dialect, rollout, gateways, all: nodes, now, epoch, baseline: baselineOf(row) };
  if (rollout.state === 'checking') return await afterChecks(step);
  if (rollout.state === 'canary') return await afterCanary(step);
  if (rollout.state === 'watching') return await afterWatching(step);
  if (rollout.state === 'waves') return await nextWave(step);
  return await afterGoingBack(step);
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
  readonly baseline: Baseline;
}

async function afterChecks(step: Step): Promise<Advance> {
  const { rollout, gateways, now } = step;
  const { version, settings, stateAtMs } = rollout;
  if (gateways.length === 0) return 'open';
  const refused = gateways.find(({ checkedVersion, checkProblems }) => checkedVersion === version && checkProblems);
  if (refused !== undefined)
    return await finish(step, 'rejected', `${refused.name} refuses it: ${(refused.checkProblems ?? []).join('; ')}`);
  const silent = gateways.filter(({ checkedVersion }) => checkedVersion !== version);
  if (silent.length > 0) {
    if (now - stateAtMs <= settings.stepTimeoutMs) return 'open';
    return await finish(step, 'rejected', `${silent.map(({ name }) => name).join(', ')} did not check it in time`);
  }
  // Nodes that take no traffic prove nothing.
  const useful = gateways.filter(({ state }) => state === 'active');
  const from = useful.length > 0 ? useful : gateways;
  const canary = from.slice(0, Math.max(1, Math.floor(from.length * settings.canaryShare))).map(({ id }) => id);
  await want(step, canary, version);
  return await move(step, 'canary', { canary: JSON.stringify(canary), baseline: anew(step, {}) });
}

async function afterCanary(step: Step): Promise<Advance> {
  const { rollout, all } = step;
  const canary = all.filter(({ id }) => rollout.canary.includes(id));
  const problem = problemOf(step, canary) ?? restartProblem(step);
  if (problem !== null) return await back(step, problem);
  if (!canary.every(({ appliedVersion }) => appliedVersion === rollout.version)) return 'open';
  return await move(step, 'watching', { baseline: anew(step, {}) });
}

async function afterWatching(step: Step): Promise<Advance> {
  const { rollout, all, now } = step;
  const { watchMs, judgeWithinMs } = rollout.settings;
  const canary = all.filter(({ id }) => rollout.canary.includes(id));
  const { closed, unjudged } = compare(step);
  const problem = problemOf(step, canary) ?? restartProblem(step);
  if (problem !== null) return await back(step, problem);
  if (closed !== null) return await closeGate(step, closed);
  const watchedMs = now - rollout.stateAtMs;
  if (watchedMs < watchMs) return 'open';
  if (unjudged !== null && judgeWithinMs !== null) {
    if (watchedMs < judgeWithinMs) return 'open';
    return await back(step, `it could not be judged in ${formatDuration(judgeWithinMs)}: ${unjudged}`);
  }
  if (unjudged !== null)
    await addEvent(step.trx, step.dialect, {
      type: 'rollout.unjudged',
      subject: rollout.id,
      data: { version: rollout.version, reason: unjudged },
      epoch: step.epoch,
    });
  const seen = { isJudged: unjudged === null, unjudged, reference: referenceOf(step) };
  return await move(step, 'waves', { baseline: anew(step, seen) });
}

/** Each wave runs the version, is compared, and lets the next one follow, or the rollout end. */
async function nextWave(step: Step): Promise<Advance> {
  const { rollout, gateways, baseline, now } = step;
  const { version, wave, settings } = rollout;
  const wanted = gateways.filter(({ wantedVersion }) => wantedVersion === version);
  const { closed, unjudged } = compare(step);
  const problem = problemOf(step, wanted) ?? restartProblem(step);
  if (problem !== null) return await back(step, problem);
  if (closed !== null) return await closeGate(step, closed);
  if (wanted.some(({ appliedVersion }) => appliedVersion !== version)) return 'open';
  // The canary alone was watched already.
  if (wave > 0 && settings.waveWatchMs > 0) {
    // A clock of the store that was set back would make it wait.
    if (baseline.sinceMs === null || baseline.sinceMs > now)
      return await keep(step, { ...baseline, nodes: countersOf(gateways), sinceMs: now });
    if (now - baseline.sinceMs < settings.waveWatchMs) return 'open';
  }
  const isJudged = baseline.isJudged === true || (wave > 0 && unjudged === null);
  const whyNot = wave > 0 ? unjudged : baseline.unjudged;
  if (wanted.length === gateways.length)
    return await finish(step, 'done', isJudged ? null : `not judged: ${whyNot ?? 'it was not watched'}`, isJudged);
  const share = settings.waves[wave] ?? 1;
  const count = Math.max(wanted.length + 1, Math.ceil(gateways.length * share));
  const next = gateways
    .filter(({ wantedVersion }) => wantedVersion !== version)
    .slice(0, count - wanted.length)
    .map(({ id }) => id);
  await want(step, next, version);
  const seen = { isJudged, reference: wave === 0 ? baseline.reference : referenceOf(step) };
  return await move(step, 'waves', { wave: wave + 1, baseline: anew(step, seen) });
}

async function afterGoingBack(step: Step): Promise<Advance> {
  const { rollout, gateways, now } = step;
  const running = gateways.filter(({ appliedVersion }) => appliedVersion === rollout.version);
  if (running.length === 0) return await finish(step, 'rolled-back', rollout.reason);
  // A node that cannot go back must not block the next rollout for ever; its own heartbeat says what it runs.
  if (now - rollout.stateAtMs <= 10 * rollout.settings.stepTimeoutMs) return 'open';
  const names = running.map(({ name }) => name).join(', ');
  return await finish(step, 'rolled-back', `${rollout.reason}; ${names} did not go back`);
}

/** A node that refuses the version, takes too long, started anew or is gone. */
function problemOf({ rollout, now, baseline }: Step, nodes: readonly ClusterNode[]): string | null {
  for (const { name, id, state, appliedVersion, applyProblem, presence, health, incarnation } of nodes) {
    if (applyProblem !== null && appliedVersion !== rollout.version)
      return `${name} could not apply it: ${applyProblem}`;
    if (presence === 'gone' || presence === 'left') return `${name} is ${presence}`;
    const before = baseline.nodes[id];
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

function restartProblem({ rollout, gateways, baseline }: Step): string | null {
  const restarted = gateways.find(({ id, appliedVersion, traffic }) => {
    const restarts = traffic?.workerRestarts ?? 0;
    return appliedVersion === rollout.version && restarts > (baseline.nodes[id]?.traffic?.workerRestarts ?? restarts);
  });
  return restarted === undefined ? null : `a worker of ${restarted.name} ended with it`;
}

/**
 * Nodes with the version against nodes without, since the same moment. Where all have it, or the others have little
 * traffic, against how the others did before.
 */
function compare(step: Step): Verdict {
  return judge(sampleOf(step, true), sampleOf(step, false), step.rollout.settings, step.baseline.reference);
}

function sampleOf({ rollout, gateways, baseline }: Step, isWith: boolean): GateSample {
  return sumOf(
    gateways
      .filter(({ appliedVersion }) => (appliedVersion === rollout.version) === isWith)
      .map(({ id, traffic }) => since(baseline.nodes[id]?.traffic ?? undefined, traffic)),
  );
}

function referenceOf(step: Step): GateSample | null {
  const others = sampleOf(step, false);
  return others.requests === 0 ? step.baseline.reference : others;
}

function countersOf(nodes: readonly ClusterNode[]): Baseline['nodes'] {
  return Object.fromEntries(
    nodes.map(({ id, traffic, incarnation, health }) => [id, { traffic, incarnation, health }]),
  );
}

/** The next comparison begins now. */
function anew({ gateways, baseline }: Step, seen: Partial<Baseline>): string {
  return JSON.stringify({ ...baseline, sinceMs: null, ...seen, nodes: countersOf(gateways) });
}

async function keep({ trx, rollout }: Step, baseline: Baseline): Promise<Advance> {
  await trx
    .updateTable('cluster_rollouts')
    .set({ baseline: JSON.stringify(baseline) })
    .where('id', '=', rollout.id)
    .execute();
  return 'open';
}

async function want({ trx }: Step, ids: readonly string[], version: number): Promise<void> {
  if (ids.length === 0) return;
  await trx
    .updateTable('cluster_nodes')
    .set({ wanted_version: version, apply_problem: null })
    .where('id', 'in', ids)
    .execute();
}

async function move(step: Step, state: RolloutState, change: Partial<RolloutRow>): Promise<Advance> {
  const { trx, dialect, rollout, now, epoch } = step;
  await trx
    .updateTable('cluster_rollouts')
    .set({ ...change, state, state_at: now })
    .where('id', '=', rollout.id)
    .execute();
  const { wave, reason } = change;
  await addEvent(trx, dialect, {
    type: `rollout.${state}`,
    subject: rollout.id,
    data: {
      version: rollout.version,
      ...(wave === undefined ? {} : { wave }),
      ...(reason == null ? {} : { reason }),
    },
    epoch,
  });
  return 'open';
}

async function finish(
  step: Step,
  state: RolloutEnd['state'],
  reason: string | null,
  isJudged = step.baseline.isJudged ?? false,
): Promise<Advance> {
  const { trx, rollout, baseline } = step;
  // What it was compared with is of no use any more.
  await move(step, state, {
    reason,
    baseline: JSON.stringify({ isJudged: baseline.isJudged === null ? null : isJudged }),
  });
  const version = state === 'done' ? rollout.version : rollout.fromVersion;
  // Also for the nodes that are gone now and come back later.
  await trx.updateTable('cluster_nodes').set({ wanted_version: version }).where('kind', '=', 'gateway').execute();
  await trx
    .deleteFrom('cluster_versions')
    .where('version', '<', rollout.version - KEPT_VERSIONS)
    .where('version', '<>', rollout.fromVersion)
    .execute();
  return { state, isJudged };
}

async function closeGate(step: Step, reason: string): Promise<Advance> {
  await keep(step, { ...step.baseline, isJudged: true });
  return await back(step, reason);
}

async function back(step: Step, reason: string): Promise<Advance> {
  await goBack(step.trx, step.dialect, step.rollout, reason, step.now, step.epoch);
  return 'open';
}
