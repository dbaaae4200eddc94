/**
 * Gives waiting tasks to nodes; the queen calls it about once a second. A node must be alive, active and have every
 * label of the task's selector; of those the one that is preferred by affinity and has the most room left gets it. A
 * task whose node is gone or silent goes back into the queue.
 */
import type { Transaction } from 'kysely';
import type { StoreDialect } from '../store/store.ts';
import { addEvent } from './events.ts';
import type { ClusterNode } from './members.ts';
import type { ClusterTables } from './tables.ts';
import { KEPT_MS, requeued, shown, type Task } from './tasks.ts';

/** Tasks looked at in one round. */
const BATCH = 500;
/** A node that has been given a task must accept it within this time. */
const ACCEPT_MS = 15_000;

/** The node that should get the task, or undefined when none can now. `inHand`: tasks of each node. */
function chooseNode(
  task: Pick<Task, 'selector' | 'affinity' | 'nodeId'>,
  nodes: readonly ClusterNode[],
  inHand: ReadonlyMap<string, number>,
): ClusterNode | undefined {
  let best: ClusterNode | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const node of nodes) {
    if (node.presence !== 'alive' || node.state !== 'active' || !hasAll(node.labels, task.selector)) continue;
    const busy = inHand.get(node.id) ?? 0;
    if (busy >= node.capacity) continue;
    const preferred = Object.entries(task.affinity).filter(([key, value]) => node.labels[key] === value).length;
    // Affinity decides first, then free share.
    const score = preferred + (1 - busy / node.capacity) * 0.999;
    if (score > bestScore) [best, bestScore] = [node, score];
  }
  return best;
}

function hasAll(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

/** One round, inside the queen's transaction. Returns how many tasks were given to nodes. */
export async function schedule(
  trx: Transaction<ClusterTables>,
  dialect: StoreDialect,
  nodes: readonly ClusterNode[],
  now: number,
  epoch: number,
): Promise<number> {
  await takeBack(trx, dialect, nodes, now, epoch);
  const queued = await trx
    .selectFrom('cluster_tasks')
    .selectAll()
    .where('state', '=', 'queued')
    .where('not_before', '<=', now)
    .orderBy('priority', 'desc')
    .orderBy('created_at')
    .limit(BATCH)
    .execute();
  if (queued.length === 0) return 0;
  const counts = await trx
    .selectFrom('cluster_tasks')
    .select(({ fn }) => ['node_id', fn.countAll().as('count')])
    .where('state', 'in', ['assigned', 'running'])
    .groupBy('node_id')
    .execute();
  const inHand = new Map(counts.map(({ node_id, count }) => [node_id ?? '', Number(count)]));
  let given = 0;
  for (const row of queued) {
    const node = chooseNode(shown(row), nodes, inHand);
    if (node === undefined) continue;
    const { numUpdatedRows } = await trx
      .updateTable('cluster_tasks')
      .set({
        state: 'assigned',
        node_id: node.id,
        attempt: row.attempt + 1,
        lease_until: now + ACCEPT_MS,
        updated_at: now,
      })
      .where('id', '=', row.id)
      .where('state', '=', 'queued')
      .executeTakeFirstOrThrow();
    if (numUpdatedRows === 0n) continue;
    inHand.set(node.id, (inHand.get(node.id) ?? 0) + 1);
    given++;
  }
  return given;
}

/** Tasks whose lease has run out, or whose node is gone or has left. */
async function takeBack(
  trx: Transaction<ClusterTables>,
  dialect: StoreDialect,
  nodes: readonly ClusterNode[],
  now: number,
  epoch: number,
): Promise<void> {
  const present = nodes.filter(({ presence }) => presence === 'alive' || presence === 'suspect').map(({ id }) => id);
  const rows = await trx
    .selectFrom('cluster_tasks')
    .selectAll()
    .where('state', 'in', ['assigned', 'running'])
    .where((where) =>
      where.or([
        where('lease_until', '<', now),
        ...(present.length === 0 ? [where('node_id', 'is not', null)] : [where('node_id', 'not in', present)]),
      ]),
    )
    .limit(BATCH)
    .execute();
  for (const row of rows) {
    const task = shown(row);
    const isOver = task.attempt >= task.maxAttempts;
    const error = `the node stopped reporting in attempt ${task.attempt} of ${task.maxAttempts}`;
    const { numUpdatedRows } = await trx
      .updateTable('cluster_tasks')
      .set({
        ...(isOver ? { state: 'failed', lease_until: null } : { ...requeued(1, now), not_before: now }),
        error,
        updated_at: now,
      })
      .where('id', '=', task.id)
      .where('attempt', '=', task.attempt)
      .where('state', 'in', ['assigned', 'running'])
      .executeTakeFirstOrThrow();
    if (numUpdatedRows === 0n) continue;
    const type = isOver ? 'task.failed' : 'task.requeued';
    await addEvent(trx, dialect, {
      type,
      subject: task.id,
      data: { kind: task.kind, node: task.nodeId, error },
      epoch,
    });
  }
}

/** Finished tasks are forgotten after a day. */
export async function pruneTasks(trx: Transaction<ClusterTables>, now: number): Promise<void> {
  await trx
    .deleteFrom('cluster_tasks')
    .where('state', 'in', ['done', 'failed', 'cancelled'])
    .where('updated_at', '<', now - KEPT_MS)
    .execute();
}
