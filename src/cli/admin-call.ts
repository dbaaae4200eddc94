/**
 * Calls the admin API: of the gateway on this machine over its control socket, or of one elsewhere with `--server` and
 * a token. For the commands that operators use.
 */
import type { CommandContext, CommandOption } from './command.ts';
import { EXIT, UnreachableError, UsageError } from './command.ts';
import { callSocket, findSocket, SOCKET_OPTION } from './control-socket.ts';
import { messageIn } from './error-message.ts';

const TIMEOUT_MS = 90_000;

export const ADMIN_OPTIONS: Readonly<Record<string, CommandOption>> = {
  server: {
    type: 'string',
    value: 'URL',
    meaning: 'admin API of a gateway elsewhere, such as https://api.example.com/gatehouse; default GATEHOUSE_SERVER',
  },
  token: {
    type: 'string',
    value: 'TOKEN',
    meaning: 'bearer token for --server; better GATEHOUSE_TOKEN, which no process list shows',
  },
  socket: SOCKET_OPTION,
};

export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly text: string;
}

/** The admin API of a gateway elsewhere, when one is named; a socket that is named comes before the environment. */
export function serverOf({ options, env }: CommandContext): string | undefined {
  const server = options['server'] ?? (options['socket'] === undefined ? env['GATEHOUSE_SERVER'] : undefined);
  return typeof server === 'string' && server !== '' ? server : undefined;
}

export async function callAdmin(
  context: CommandContext,
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<AdminAnswer> {
  const { options, env } = context;
  const server = serverOf(context);
  const { status, text } =
    server !== undefined
      ? await callServer(server, options['token'] ?? env['GATEHOUSE_TOKEN'], method, path, body)
      : await callSocket(await findSocket(undefined, context), method, `/admin/api${path}`, { body });
  try {
    return { status, text, body: JSON.parse(text) };
  } catch {
    return { status, text, body: null };
  }
}

async function callServer(server: string, token: unknown, method: string, path: string, body: unknown) {
  if (!URL.canParse(server) || !/^https?:/.test(server)) throw new UsageError(`--server takes a URL, not "${server}"`);
  if (typeof token !== 'string' || token === '') throw new UsageError('--server needs a token: set GATEHOUSE_TOKEN');
  try {
    const response = await fetch(`${server.replace(/\/+$/, '')}/api${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      // A token goes where it was meant to go.
      redirect: 'error',
    });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    const cause = (error as { cause?: { message?: string } }).cause?.message;
    throw new UnreachableError(`no gateway answers at ${server}: ${cause ?? String(error)}`);
  }
}

/** Prints the message of a refusal; the exit code. */
export function refusedCode({ err }: CommandContext, { status, text }: AdminAnswer): number {
  err(`${messageIn(text)}\n`);
  return status === 404 ? EXIT.notFound : EXIT.failed;
}
