/**
 * Finds and calls a running gateway: its control socket lies in the data folder, which the configuration names. The
 * configuration is read leniently for that, because a gateway must be reachable also while its file is being edited.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { onDemand } from '../base/on-demand.ts';
import { defaultFiles, fileKind } from '../control/config/files.ts';
import { controlSocketPath } from '../control/config/plan.ts';
import type { ConfigSource } from '../control/config/source.ts';
import { isMapping } from '../control/config/source.ts';
import type { CommandContext, CommandOption } from './command.ts';
import { namedFile, UnreachableError } from './command.ts';

const DEFAULT_DATA_DIR = './data';
const ANSWER_TIMEOUT_MS = 90_000;
const MOST_BYTES = 16 * 1024 ** 2;

/** For every command that talks to a running gateway. */
export const SOCKET_OPTION: CommandOption = {
  type: 'string',
  value: 'PATH',
  meaning: 'control socket of the gateway; default is gatehouse.sock in its data folder',
};

/** The socket that is named, or that of the gateway that a configuration file belongs to. */
export async function findSocket(file: string | undefined, context: CommandContext): Promise<string> {
  const { cwd, env, options } = context;
  const named = options['socket'];
  if (typeof named === 'string') return resolve(cwd, named);
  const name = namedFile(file, context) ?? defaultFiles(cwd)[0];
  if (name === undefined) return controlSocketPath(resolve(cwd, DEFAULT_DATA_DIR));
  const path = resolve(cwd, name);
  const source = await readLeniently(path, env);
  const gateway = isMapping(source?.value) ? source.value['gateway'] : undefined;
  const dataDir = isMapping(gateway) && typeof gateway['dataDir'] === 'string' ? gateway['dataDir'] : DEFAULT_DATA_DIR;
  return controlSocketPath(resolve(dirname(path), dataDir));
}

async function readLeniently(path: string, env: CommandContext['env']): Promise<ConfigSource | undefined> {
  const kind = fileKind(path);
  if (kind === 'module') {
    const { moduleSource } = await import('../control/config/module-source.ts');
    return (await moduleSource(path, path, env)).source;
  }
  const { textSource } = await import('../control/config/text-source.ts');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : textSource(text, path, kind ?? 'yaml', env).source;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks the gateway. Rejects with an `UnreachableError` when there is none. */
export async function callGateway(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<Answer> {
  const { status, text } = await callSocket(socketPath, method, path, { maxBytes: MOST_BYTES, timeoutMs });
  try {
    return { status, body: JSON.parse(text) };
  } catch {
    throw unreachable(socketPath, 'its response is not JSON');
  }
}

/**
 * One call over a socket of a running gateway; `body` goes as JSON. Rejects with an `UnreachableError` when none
 * answers.
 */
export function callSocket(
  socketPath: string,
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  {
    body,
    maxBytes = Number.POSITIVE_INFINITY,
    timeoutMs = ANSWER_TIMEOUT_MS,
  }: { readonly body?: unknown; readonly maxBytes?: number; readonly timeoutMs?: number } = {},
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolveAnswer, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(unreachable(socketPath, reasonOf(error)));
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const call = onDemand.http.request({ socketPath, method, path, headers, timeout: timeoutMs }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > maxBytes) call.destroy(new Error('its answer is too large'));
        else parts.push(part);
      });
      response.on('error', fail);
      response.on('end', () => {
        resolveAnswer({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') });
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.on('error', fail);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function unreachable(socketPath: string, reason: string): UnreachableError {
  return new UnreachableError(`no gateway answers at ${socketPath}: ${reason}`);
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return 'there is no such socket; is it running, and with this configuration?';
    case 'ECONNREFUSED':
      return 'it does not run any more';
    case 'EACCES':
      return 'this user may not use the socket';
    default:
      return error.message;
  }
}
