/** Calls of `gatehouse cluster`, and what its commands share. */
import type { CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { messageIn } from './error-message.ts';
import { callFeature } from './feature-call.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface Response {
  readonly status: number;
  readonly text: string;
}

export const call = (context: CommandContext, method: Method, path: string, body?: unknown): Promise<Response> =>
  callFeature(context, 'cluster', method, path, body);

export function refused(context: CommandContext, { status, text }: Response): number {
  context.err(`${messageIn(text)}\n`);
  return status === 404 ? EXIT.notFound : EXIT.failed;
}

/** Prints JSON as it came, or what `show` makes of it. */
export async function shown<T>(context: CommandContext, path: string, show: (body: T) => string): Promise<number> {
  const response = await call(context, 'GET', path);
  if (response.status !== 200) return refused(context, response);
  const body = JSON.parse(response.text) as T;
  context.out(context.options['json'] === true ? `${JSON.stringify(body, null, 2)}\n` : `${show(body)}\n`);
  return EXIT.ok;
}

export function whole(name: string, value: unknown): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new UsageError(`--${name} takes a whole number, 1 or more`);
  return number;
}

/** Of `--label KEY=VALUE`, as often as it is given. */
export function labelsOf(context: CommandContext): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const each of [context.options['label'] ?? []].flat()) {
    const at = String(each).indexOf('=');
    if (at < 1) throw new UsageError(`--label takes KEY=VALUE, not "${String(each)}"`);
    labels[String(each).slice(0, at)] = String(each).slice(at + 1);
  }
  return labels;
}

/** By name or id; the exit code when there is none, which has been said. */
export async function findNode(
  context: CommandContext,
  named: string,
): Promise<{ readonly id: string; readonly name: string } | number> {
  const listed = await call(context, 'GET', '/nodes');
  if (listed.status !== 200) return refused(context, listed);
  const { nodes } = JSON.parse(listed.text) as { nodes: readonly { readonly id: string; readonly name: string }[] };
  const node = nodes.find(({ id, name }) => id === named || name === named);
  if (node !== undefined) return node;
  context.err(`there is no node ${named}\n`);
  return EXIT.notFound;
}
