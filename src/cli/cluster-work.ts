/** `gatehouse cluster`: tasks, messages and labels. */
import { setTimeout as delay } from 'node:timers/promises';
import { call, findNode, labelsOf, refused, shown } from './cluster-call.ts';
import type { CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { table } from './table.ts';

interface ShownTask {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly node_id: string | null;
  readonly attempt: number;
  readonly progress: number;
  readonly result: unknown;
  readonly error: string | null;
}

const OVER = ['done', 'failed', 'cancelled'];
const LOOK_MS = 500;

export function showTasks(context: CommandContext): Promise<number> {
  const { state } = context.options;
  const query = typeof state === 'string' ? `?state=${encodeURIComponent(state)}` : '';
  return shown<{ tasks: readonly ShownTask[] }>(context, `/cluster/tasks${query}`, ({ tasks }) =>
    table([
      ['KIND', 'STATE', 'NODE', 'ATTEMPT', 'PROGRESS', 'ID'],
      ...tasks.map(({ kind, state: now, node_id, attempt, progress, id }) => [
        kind,
        now,
        node_id ?? '-',
        String(attempt),
        `${Math.round(progress * 100)} %`,
        id,
      ]),
    ]),
  );
}

/** Prints its id, or with `--wait` what it came to. */
export async function createTask(context: CommandContext, kind: string): Promise<number> {
  const payload = jsonIn('PAYLOAD', context.positionals[2]);
  const response = await call(context, 'POST', '/cluster/tasks', { kind, payload, selector: labelsOf(context) });
  if (response.status !== 202 && response.status !== 200) return refused(context, response);
  let task = JSON.parse(response.text) as ShownTask;
  if (context.options['wait'] !== true) return printed(context, task, task.id);
  while (!OVER.includes(task.state)) {
    await delay(LOOK_MS);
    const looked = await call(context, 'GET', `/cluster/tasks/${task.id}`);
    if (looked.status !== 200) return refused(context, looked);
    task = JSON.parse(looked.text) as ShownTask;
  }
  printed(context, task, task.state === 'done' ? JSON.stringify(task.result) : `${task.state}: ${task.error ?? ''}`);
  return task.state === 'done' ? EXIT.ok : EXIT.configuration;
}

export async function cancelTask(context: CommandContext, id: string): Promise<number> {
  const response = await call(context, 'DELETE', `/cluster/tasks/${encodeURIComponent(id)}`);
  if (response.status !== 200) return refused(context, response);
  return printed(context, JSON.parse(response.text) as ShownTask, `${id}: cancelled`);
}

export async function sendMessage(context: CommandContext, named: string): Promise<number> {
  const [, , topic, text] = context.positionals;
  if (topic === undefined) throw new UsageError('say message NODE TOPIC, or message all TOPIC');
  const node = named === 'all' ? { id: 'all' } : await findNode(context, named);
  if (typeof node === 'number') return node;
  const body = jsonIn('BODY', text);
  const response = await call(context, 'POST', '/cluster/messages', { to: node.id, topic, body });
  if (response.status !== 202) return refused(context, response);
  const { sent_to } = JSON.parse(response.text) as { sent_to: number };
  context.out(context.options['json'] === true ? `${response.text}\n` : `kept for ${sent_to} until acknowledged\n`);
  return EXIT.ok;
}

export async function setLabels(context: CommandContext, named: string): Promise<number> {
  const node = await findNode(context, named);
  if (typeof node === 'number') return node;
  const labels = labelsOf(context);
  const response = await call(context, 'PUT', `/nodes/${encodeURIComponent(node.id)}/labels`, { labels });
  if (response.status !== 200) return refused(context, response);
  const words = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  context.out(context.options['json'] === true ? `${response.text}\n` : `${node.name}: ${words.join(' ') || 'none'}\n`);
  return EXIT.ok;
}

function printed(context: CommandContext, task: ShownTask, line: string): number {
  context.out(context.options['json'] === true ? `${JSON.stringify(task)}\n` : `${line}\n`);
  return EXIT.ok;
}

function jsonIn(what: string, text: string | undefined): unknown {
  if (text === undefined) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`give ${what} as JSON, such as '{"text":"a b"}' or '"a b"'`);
  }
}
