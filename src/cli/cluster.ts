/** `gatehouse cluster`: what the cluster API does, for people at a node. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ADMIN_OPTIONS } from './admin-call.ts';
import { call, findNode, refused, shown, whole } from './cluster-call.ts';
import { makeToken, revokeToken, showTokens } from './cluster-tokens.ts';
import { cancelTask, createTask, sendMessage, setLabels, showTasks } from './cluster-work.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { table } from './table.ts';

interface ShownNode {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly presence: string;
  readonly is_queen: boolean;
  readonly health: string;
  readonly zone: string | null;
  readonly applied_version: number;
  readonly wanted_version: number;
}

interface ShownRollout {
  readonly id: string;
  readonly version: number;
  readonly from_version: number;
  readonly state: string;
  readonly reason: string | null;
}

const NODE_ACTIONS = ['cordon', 'drain', 'activate', 'remove'];
const OVER = ['done', 'rejected', 'rolled-back'];
const POLL_SECONDS = 10;

export const cluster: Command = {
  name: 'cluster',
  summary: 'nodes, tasks and rollouts of the cluster that this node is in',
  usage: [
    'status [--json]',
    'nodes [--json]',
    'cordon|drain|activate|remove NODE [--reason TEXT]',
    'label NODE --label KEY=VALUE ...',
    'tasks [--state STATE] [--json]',
    'task KIND [PAYLOAD] [--label KEY=VALUE] [--wait] [--json]',
    'cancel TASK',
    'message NODE|all TOPIC [BODY]',
    'token [--uses N] [--for SECONDS] [--label KEY=VALUE]',
    'tokens [--json]',
    'revoke TOKEN-ID',
    'rollout FILE|VERSION --reason TEXT [--watch SECONDS] [--judge-within SECONDS] [--force] [--wait]',
    'rollouts [--json]',
    'versions [--json]',
    'difference VERSION [FROM] [--json]',
    'abort ROLLOUT [--reason TEXT]',
    'events [--json]',
  ],
  description: `Talks to a running gateway. NODE is a name or an id. A rollout is checked on every node, tried on a few, compared with the others and undone by itself if it does worse.

  gatehouse cluster drain gateway-2 --reason "kernel upgrade"
  gatehouse cluster rollout gatehouse.yaml --reason "new orders service" --wait

Exit codes: 0 done, 1 the rollout was rejected or rolled back, 2 the command line is wrong, 3 no gateway answers, 4 no such node, token or rollout, 5 refused.`,
  options: {
    reason: { type: 'string', value: 'TEXT', meaning: 'kept with the change' },
    uses: { type: 'string', value: 'N', meaning: 'how many nodes may join with the token; default 1' },
    for: { type: 'string', value: 'SECONDS', meaning: 'how long the token holds; default 3600' },
    label: {
      type: 'string',
      multiple: true,
      value: 'KEY=VALUE',
      meaning: 'label of nodes that join with the token, that the node gets, or that the task needs',
    },
    watch: { type: 'string', value: 'SECONDS', meaning: 'how long the first nodes are compared with the others' },
    'judge-within': {
      type: 'string',
      value: 'SECONDS',
      meaning: 'watch until there was traffic enough to judge it, for so long at most, then go back',
    },
    state: {
      type: 'string',
      value: 'STATE',
      meaning: 'only tasks that are queued, assigned, running, done, failed or cancelled',
    },
    force: { type: 'boolean', meaning: 'take a document again that was rolled back before' },
    wait: { type: 'boolean', meaning: 'wait for the end of the rollout or task' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 4 },
  async run(context) {
    const [action = 'status', named] = context.positionals;
    if (action === 'status' && named === undefined) return await showStatus(context);
    if (action === 'nodes' && named === undefined) return await showNodes(context);
    if (action === 'events' && named === undefined) return await showEvents(context);
    if (action === 'versions' && named === undefined) return await showVersions(context);
    if (action === 'difference' && named !== undefined) return await showDifference(context, named);
    if (action === 'rollouts' && named === undefined) return await showRollouts(context);
    if (action === 'tasks' && named === undefined) return await showTasks(context);
    if (action === 'task' && named !== undefined) return await createTask(context, named);
    if (action === 'cancel' && named !== undefined) return await cancelTask(context, named);
    if (action === 'message' && named !== undefined) return await sendMessage(context, named);
    if (action === 'label' && named !== undefined) return await setLabels(context, named);
    if (action === 'token' && named === undefined) return await makeToken(context);
    if (action === 'tokens' && named === undefined) return await showTokens(context);
    if (action === 'revoke' && named !== undefined) return await revokeToken(context, named);
    if (NODE_ACTIONS.includes(action) && named !== undefined) return await changeNode(context, action, named);
    if (action === 'rollout' && named !== undefined) return await rollOut(context, named);
    if (action === 'abort' && named !== undefined) return await abort(context, named);
    throw new UsageError(
      'say status, nodes, events, rollouts, versions, difference VERSION, token, tokens, revoke TOKEN-ID, rollout FILE, abort ROLLOUT, tasks, task KIND, cancel TASK, message NODE TOPIC, label NODE or drain NODE',
    );
  },
};

function showStatus(context: CommandContext): Promise<number> {
  interface Status {
    name: string;
    status: string;
    queen: string | null;
    epoch: number;
    node: string;
    version: number;
    nodes: Record<string, number>;
    tasks: Record<string, number>;
    rollout: ShownRollout | null;
  }
  const counts = (of: Record<string, number>): string =>
    Object.entries(of)
      .map(([key, count]) => `${count} ${key}`)
      .join(', ') || 'none';
  return shown<Status>(context, '/cluster', (status) =>
    [
      `cluster ${status.name}: ${status.status}`,
      `queen: ${status.queen ?? 'none'} (epoch ${status.epoch}); this node: ${status.node}`,
      `nodes: ${counts(status.nodes)}`,
      `tasks: ${counts(status.tasks)}`,
      `configuration: ${versionName(status.version)}`,
      ...(status.rollout === null ? [] : [`last rollout: ${rolloutLine(status.rollout)}`]),
    ].join('\n'),
  );
}

function showNodes(context: CommandContext): Promise<number> {
  return shown<{ nodes: readonly ShownNode[] }>(context, '/nodes', ({ nodes }) =>
    table([
      ['NAME', 'KIND', 'PRESENCE', 'STATE', 'HEALTH', 'ZONE', 'VERSION', 'ID'],
      ...nodes.map((node) => [
        `${node.name}${node.is_queen ? ' (queen)' : ''}`,
        node.kind,
        node.presence,
        node.state,
        node.health,
        node.zone ?? '-',
        node.applied_version === node.wanted_version
          ? String(node.applied_version)
          : `${node.applied_version} (wants ${node.wanted_version})`,
        node.id,
      ]),
    ]),
  );
}

async function showEvents(context: CommandContext): Promise<number> {
  interface Event {
    at: string;
    type: string;
    subject: string;
    data: unknown;
  }
  return await shown<{ events: readonly Event[] }>(context, '/cluster/events?limit=1000', ({ events }) =>
    events.map(({ at, type, subject, data }) => `${at}  ${type}  ${subject}  ${JSON.stringify(data)}`).join('\n'),
  );
}

function showRollouts(context: CommandContext): Promise<number> {
  return shown<{ rollouts: readonly ShownRollout[] }>(context, '/cluster/rollouts', ({ rollouts }) =>
    rollouts.length === 0
      ? 'nothing was rolled out'
      : rollouts.map((each) => `${each.id}  ${rolloutLine(each)}`).join('\n'),
  );
}

function showVersions(context: CommandContext): Promise<number> {
  interface Version {
    readonly version: number;
    readonly author: string;
    readonly reason: string;
    readonly created_at: string;
  }
  return shown<{ versions: readonly Version[] }>(context, '/cluster/versions', ({ versions }) =>
    table([
      ['VERSION', 'WHEN', 'WHO', 'WHY'],
      ...versions.map(({ version, created_at, author, reason }) => [String(version), created_at, author, reason]),
    ]),
  );
}

function showDifference(context: CommandContext, named: string): Promise<number> {
  const version = whole('difference', named);
  const from = context.positionals[2];
  const query = from === undefined ? '' : `?from=${whole('difference', from)}`;
  return shown<{ lines: readonly string[] }>(context, `/cluster/versions/${version}/difference${query}`, ({ lines }) =>
    lines.length === 0 ? 'nothing differs' : lines.join('\n'),
  );
}

async function changeNode(context: CommandContext, action: string, named: string): Promise<number> {
  const node = await findNode(context, named);
  if (typeof node === 'number') return node;
  const { reason = 'by the command line' } = context.options;
  const response = await call(context, 'POST', `/nodes/${encodeURIComponent(node.id)}/${action}`, { reason });
  if (response.status !== 200) return refused(context, response);
  context.out(`${node.name}: ${(JSON.parse(response.text) as ShownNode).state}\n`);
  return EXIT.ok;
}

async function rollOut(context: CommandContext, named: string): Promise<number> {
  const { reason, watch, 'judge-within': judgeWithin, force = false, wait = false } = context.options;
  if (typeof reason !== 'string') throw new UsageError('--reason says why, for the history');
  const what = /^\d+$/.test(named)
    ? { version: Number(named) }
    : { document: await readFile(resolve(context.cwd, named), 'utf8') };
  const response = await call(context, 'POST', '/cluster/rollouts', {
    ...what,
    reason,
    force,
    ...(watch === undefined ? {} : { watch_ms: Number(watch) * 1_000 }),
    ...(judgeWithin === undefined ? {} : { judge_within_ms: whole('judge-within', judgeWithin) * 1_000 }),
  });
  if (response.status !== 202) return refused(context, response);
  const rollout = JSON.parse(response.text) as ShownRollout;
  context.out(`${rollout.id}  ${rolloutLine(rollout)}\n`);
  return wait === true ? await waitFor(context, rollout) : EXIT.ok;
}

/** Prints each state; the long poll for events is what it waits by. */
async function waitFor(context: CommandContext, { id, state }: ShownRollout): Promise<number> {
  let [last, after] = [state, 0];
  for (;;) {
    const response = await call(context, 'GET', `/cluster/rollouts/${id}`);
    if (response.status !== 200) return refused(context, response);
    const rollout = JSON.parse(response.text) as ShownRollout;
    if (rollout.state !== last) context.out(`${rolloutLine(rollout)}\n`);
    last = rollout.state;
    if (OVER.includes(rollout.state)) return rollout.state === 'done' ? EXIT.ok : EXIT.configuration;
    const events = await call(context, 'GET', `/cluster/events?after=${after}&limit=1000&wait=${POLL_SECONDS}`);
    if (events.status === 200) after = (JSON.parse(events.text) as { last: number }).last;
  }
}

async function abort(context: CommandContext, id: string): Promise<number> {
  const { reason = 'by the command line' } = context.options;
  const response = await call(context, 'POST', `/cluster/rollouts/${encodeURIComponent(id)}/abort`, { reason });
  if (response.status !== 200) return refused(context, response);
  context.out(`${rolloutLine(JSON.parse(response.text) as ShownRollout)}\n`);
  return EXIT.ok;
}

function versionName(version: number): string {
  return version === 0 ? "the node's own file" : `version ${version}`;
}

function rolloutLine({ version, from_version, state, reason }: ShownRollout): string {
  return `version ${version} (after ${versionName(from_version)}): ${state}${reason === null ? '' : `, ${reason}`}`;
}
