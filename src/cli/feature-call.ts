/**
 * Calls the API that a feature has for operators: of the gateway on this machine over the feature's own socket beside
 * the control socket, where every process that may open it is an administrator, or of one elsewhere by its admin API
 * and a token.
 */
import { dirname, join } from 'node:path';
import { callAdmin, serverOf } from './admin-call.ts';
import type { CommandContext } from './command.ts';
import { callSocket, findSocket } from './control-socket.ts';

export interface FeatureAnswer {
  readonly status: number;
  readonly text: string;
}

/** The socket of a feature beside the control socket, or its pipe on Windows. */
export function featureSocket(feature: string, controlSocket: string): string {
  if (controlSocket.endsWith('.sock')) return join(dirname(controlSocket), `${feature}-control.sock`);
  return controlSocket.replace(/-gatehouse$/, `-${feature}-control`);
}

/** `path` is that of the feature's own API. Rejects with an `UnreachableError` when no gateway answers. */
export async function callFeature(
  context: CommandContext,
  feature: 'limits' | 'cluster' | 'cache',
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<FeatureAnswer> {
  if (serverOf(context) === undefined)
    return callSocket(featureSocket(feature, await findSocket(undefined, context)), method, path, { body });
  // The admin API has put the feature's name before the path; that of the cache is its whole path.
  const below = path.startsWith('/cache') ? path.slice('/cache'.length) : path;
  return callAdmin(context, method, `/features/${feature}${below}`, body);
}
