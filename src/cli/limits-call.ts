/**
 * Calls the API of bans and usage of a running gateway over a socket beside its control socket; whoever may open it is
 * an administrator. For `gatehouse ban` and `gatehouse usage`.
 */
import { dirname, join } from 'node:path';
import type { CommandContext } from './command.ts';
import { callSocket, findSocket } from './control-socket.ts';

export interface LimitsAnswer {
  readonly status: number;
  readonly text: string;
}

/** The socket of limits beside the control socket, or its pipe on Windows. */
export function limitsSocket(controlSocket: string): string {
  if (controlSocket.endsWith('.sock')) return join(dirname(controlSocket), 'limits-control.sock');
  return controlSocket.replace(/-gatehouse$/, '-limits-control');
}

/** Rejects with an `UnreachableError` when no gateway answers. */
export async function callLimits(
  context: CommandContext,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<LimitsAnswer> {
  return callSocket(limitsSocket(await findSocket(undefined, context)), method, path, { body });
}

/** The message of an error body, for people. */
export function messageIn(text: string): string {
  try {
    const body = JSON.parse(text) as { message?: unknown; errors?: readonly { field: string; expected: string }[] };
    const [field] = body.errors ?? [];
    const more = field === undefined ? '' : `: ${field.field} must be ${field.expected}`;
    return `${String(body.message ?? text)}${more}`;
  } catch {
    return text;
  }
}
