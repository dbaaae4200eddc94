/**
 * The control socket: HTTP for the command line on this machine, open to the user who runs the gateway (the permissions
 * of the file decide). `GET /status`, `POST /reload[?dryRun=1]`, `GET /history`, `POST /rollback`; plain node:http, so
 * that a gateway without the admin API loads no framework for it. Everything else is the admin API's (control/admin).
 */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { userInfo } from 'node:os';
import { messageOf } from '../base/errors.ts';
import { formatProblem } from './config/problems.ts';
import type { LiveConfiguration, TrialResult } from './live-configuration.ts';
import type { OpsSources } from './ops/sources.ts';
import { gatewayStatus } from './ops/sources.ts';

export interface ControlSocketHost {
  readonly configuration: LiveConfiguration;
  opsSources(): OpsSources;
  adminListener(): Promise<RequestListener> | undefined;
  /** `POST /takeover`: another process wants to take over (takeover.ts). */
  handOver(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

type Send = (status: number, body: unknown) => void;

export function controlListener(host: ControlSocketHost): RequestListener {
  return (request, response) => {
    const send: Send = (status, body) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.method === 'POST' && request.url === '/takeover') {
      void host.handOver(request, response);
      return;
    }
    const admin = request.url?.startsWith('/admin/') === true ? host.adminListener() : undefined;
    const done = admin?.then((listener) => listener(request, response)) ?? respond(host, request, send);
    done.catch((error: unknown) => {
      if (!response.headersSent) send(500, { message: messageOf(error) });
    });
  };
}

async function respond(host: ControlSocketHost, request: IncomingMessage, send: Send): Promise<void> {
  const { configuration } = host;
  const url = new URL(request.url ?? '/', 'http://localhost');
  const { searchParams } = url;
  const reason = searchParams.get('reason')?.slice(0, 200);
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /status':
      return send(200, gatewayStatus(host.opsSources()));
    case 'POST /reload': {
      if (searchParams.get('dryRun') === '1')
        return send(200, { ...shown(await configuration.tryOut()), file: configuration.file });
      const result = await configuration.reload({ author: localUser(), reason: reason ?? 'gatehouse reload' });
      return send(result.ok ? 200 : 422, result);
    }
    case 'GET /history':
      return send(200, { live: configuration.status(), revisions: configuration.history.list() });
    case 'POST /rollback': {
      const revision = searchParams.has('revision') ? Number(searchParams.get('revision')) : null;
      const change = { author: localUser(), reason: reason ?? 'gatehouse rollback' };
      const result = await configuration.goBack(revision, change, searchParams.get('write') === '1');
      if (result === null) return send(404, { message: 'there is no such revision that could be restored' });
      if (result.kind === 'unwritable') return send(409, { message: result.reason });
      return send(result.kind === 'done' ? 200 : 422, { ...result, live: configuration.status() });
    }
    default:
      return send(404, { message: `there is no ${request.method} ${url.pathname} on the control socket` });
  }
}

function shown({ problems, ...trial }: TrialResult) {
  return { ...trial, problems: problems.map(formatProblem) };
}

/** Only the user who runs the gateway, and root, can open the socket. */
export function localUser(): string {
  try {
    return `local:${userInfo().username}`;
  } catch {
    return 'local';
  }
}
