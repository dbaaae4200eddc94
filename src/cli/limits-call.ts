/**
 * Calls the API of bans and usage of a running gateway over a socket beside its control socket; whoever may open it is
 * an administrator. For `gatehouse ban` and `gatehouse usage`.
 */
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import type { CommandContext } from './command.ts';
import { findSocket, UnreachableError } from './control-socket.ts';

const ANSWER_TIMEOUT_MS = 30_000;

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
  const socketPath = limitsSocket(await findSocket(undefined, context));
  return await new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      reject(new UnreachableError(`no gateway answers at ${socketPath}: ${reason}`));
    };
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const call = request({ socketPath, method, path, headers, timeout: ANSWER_TIMEOUT_MS }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', (error) => fail(error.message));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') });
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)));
    call.on('error', (error: NodeJS.ErrnoException) => {
      const isAway = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      fail(isAway ? 'it does not run, or with another data folder' : error.message);
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
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
