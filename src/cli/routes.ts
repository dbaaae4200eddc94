/**
 * `gatehouse routes`: the routes in the order in which they are considered, or which of them takes a request, and why
 * the others do not. Asks the router itself (data/router/explain.ts), so the answer cannot differ from what traffic
 * sees.
 */
import { resolve } from 'node:path';
import { readMessage } from '../base/read-failure.ts';
import type { AggregateSettings } from '../data/contract/aggregate.ts';
import type { RouteAction, RouteSettings } from '../data/contract/snapshot.ts';
import type { Explanation } from '../data/router/explain.ts';
import type { RouterRequest } from '../data/router/match-result.ts';
import { explainCall, explained, readRequest, refusalOf } from '../explain-request.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { configFile, loadAndCompile, problemLines } from './config-file.ts';

export const routes: Command = {
  name: 'routes',
  summary: 'show the routes, or which one takes a request and why',
  usage: [
    '[FILE] [--json]',
    '[FILE] --openapi ROUTE',
    '[FILE] --log LOG [--host HOST] [--json]',
    '[FILE] METHOD URL [-H "NAME: VALUE"]... [--all] [--json]',
  ],
  description: `Without a request: all routes, in the order in which they are considered. With one: the route that takes it, and for the others the first thing that does not fit. Routes of another host or path are left out unless --all is given.

  gatehouse routes GET /api/notes/7
  gatehouse routes gatehouse.yaml POST https://api.example.com/orders -H "X-API-Version: 2"

With --log: what becomes of the requests of an access log (combined format, or JSON lines of Gatehouse, Caddy, Kong, nginx or Traefik): how many each route takes, and which were answered below 400 then and would be refused now, or meet a route that answers 501.

  gatehouse routes gatehouse.yaml --log /var/log/nginx/access.log --host shop.example.com

Exit codes: 0 a route takes the request, or each that was answered, 1 the configuration is wrong, 4 no route takes it, 5 the log cannot be read.`,
  options: {
    header: {
      type: 'string',
      short: 'H',
      multiple: true,
      value: '"NAME: VALUE"',
      meaning: 'a header field of the request',
    },
    listener: { type: 'string', value: 'NAME', meaning: 'the listener that takes the request' },
    all: { type: 'boolean', meaning: 'show also the routes of other hosts and paths' },
    openapi: {
      type: 'string',
      value: 'ROUTE',
      meaning: 'print the OpenAPI document of a route with `transcode`, named by its id',
    },
    log: { type: 'string', value: 'LOG', meaning: 'an access log, whose requests are looked up' },
    host: { type: 'string', value: 'HOST', meaning: 'with --log: host of requests whose line names none' },
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 3 },
  async run(context) {
    const { positionals } = context;
    const isListing = positionals.length < 2;
    const named = positionals.length === 2 ? undefined : positionals[0];
    if (isListing && /^[A-Z]+$/.test(named ?? ''))
      throw new UsageError(`behind ${named} a URL is missing, such as https://shop.example.com/orders/7`);
    const loaded = await loadAndCompile(configFile(named, context), context);
    if (!loaded.ok) {
      context.err(problemLines(loaded.problems));
      return EXIT.configuration;
    }
    const all = loaded.compiled.snapshot.routes;
    const wanted = context.options['openapi'];
    if (typeof wanted === 'string') return openApi(all, wanted, context);
    if (typeof context.options['log'] === 'string') return replay(all, context.options['log'], context);
    if (isListing) {
      if (context.options['header'] !== undefined) throw new UsageError('a header field belongs to a METHOD and a URL');
      return list(all, context);
    }
    const [method = '', url = ''] = positionals.slice(-2);
    const request = requestOf(
      method,
      url,
      (context.options['header'] ?? []) as readonly string[],
      context.options['listener'] as string | undefined,
    );
    const { explainMatch } = await import('../data/router/explain.ts');
    return show(`${request.method} ${url}`, request, explainMatch(all, request), context);
  },
};

function requestOf(method: string, url: string, fields: readonly string[], listener?: string): RouterRequest {
  try {
    return readRequest(method, url, fields, listener);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}

async function replay(all: readonly RouteSettings[], log: string, context: CommandContext): Promise<number> {
  const { isComplete, replayJson, replayLog, replayText } = await import('./replay-log.ts');
  const { cwd, options, out, err } = context;
  try {
    const found = await replayLog(all, resolve(cwd, log), (options['host'] as string | undefined) ?? '');
    out(options['json'] === true ? `${JSON.stringify(replayJson(found), null, 2)}\n` : replayText(found));
    return isComplete(found) ? EXIT.ok : EXIT.notFound;
  } catch (error) {
    err(`${log}: ${readMessage(error)}\n`);
    return EXIT.failed;
  }
}

async function openApi(all: readonly RouteSettings[], id: string, { out }: CommandContext): Promise<number> {
  const { openApiOf } = await import('../control/grpc/openapi.ts');
  const known = all.filter(({ transcode }) => transcode !== undefined);
  const route = known.find((each) => each.id === id);
  if (route?.transcode?.api === null)
    throw new UsageError(`what ${JSON.stringify(id)} offers is known to the running gateway alone (reflection)`);
  const document = route === undefined ? null : openApiOf(route, '1');
  if (document === null) {
    const names = known.map((each) => JSON.stringify(each.id)).join(', ');
    throw new UsageError(`no route with transcode has the id ${JSON.stringify(id)}${names === '' ? '' : `: ${names}`}`);
  }
  out(`${JSON.stringify(document, null, 2)}\n`);
  return EXIT.ok;
}

async function list(all: readonly RouteSettings[], { options, out }: CommandContext): Promise<number> {
  const { orderRoutes } = await import('../data/contract/route-order.ts');
  const ordered = [...new Set(orderRoutes(all).map(({ route }) => route))];
  if (options['json'] === true) {
    const rows = ordered.map(({ id, priority, match, action }) => ({ id, priority, match, action }));
    out(`${JSON.stringify(rows, null, 2)}\n`);
    return EXIT.ok;
  }
  const rows = ordered.map((route) => [matchWords(route), whatItDoes(route), route.id]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows)
    out(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
  return EXIT.ok;
}

function show(
  title: string,
  request: RouterRequest,
  explanation: Explanation,
  { options, out }: CommandContext,
): number {
  const { routes: all, result } = explanation;
  const { route } = result;
  const verdict = route === null ? refusalOf(result) : null;
  if (options['json'] === true) {
    out(`${JSON.stringify(explained(title, request, explanation), null, 2)}\n`);
    return route === null ? EXIT.notFound : EXIT.ok;
  }
  out(`${title}\n`);
  if (route === null) out(`  ${verdict?.status}: ${verdict?.reason}\n`);
  else {
    out(`  -> ${route.id}: ${actionWords(route.action)}\n`);
    for (const [name, value] of Object.entries(result.params)) out(`     :${name} = ${JSON.stringify(value)}\n`);
    for (const { name } of route.policies) out(`     policy ${name}\n`);
    for (const line of callWords(explainCall(request, explanation))) out(`     ${line}\n`);
  }
  const isNear = ({ failed }: { failed: string | null }): boolean => failed !== 'host' && failed !== 'path';
  const near = options['all'] === true ? all : all.filter(isNear);
  out(near.length === 0 ? '' : '\nconsidered, first to last:\n');
  for (const {
    chosen,
    route: { id },
    reason,
  } of near)
    out(`  ${chosen ? '*' : ' '} ${id}: ${reason}\n`);
  const others = all.length - near.length;
  if (others > 0) out(`\n${others} more have another host or path (--all shows them)\n`);
  return route === null ? EXIT.notFound : EXIT.ok;
}

/** What the request becomes in front of a gRPC service. */
function callWords(call: ReturnType<typeof explainCall>): string[] {
  if (call === undefined) return [];
  if (call === null) return ['no method of the service has this path and method: 404 or 405'];
  const fields = Object.entries(call.fields).map(([name, value]) => `  ${name} = ${JSON.stringify(value)}`);
  const body = call.body === '' ? [] : [`  ${call.body === '*' ? 'the rest' : call.body} = the body`];
  return [`calls ${call.rpc} (${call.template})`, ...fields, ...body];
}

function matchWords({ match, priority }: RouteSettings): string {
  const path = match.path.kind === 'pattern' ? match.path.pattern : `~ ${match.path.source}`;
  const methods = match.methods.length === 0 ? 'any' : match.methods.join(',');
  const conditions = [...match.headers.map(({ name }) => name), ...match.query.map(({ name }) => `?${name}`)];
  const more = [
    ...(conditions.length === 0 ? [] : [`if ${conditions.join(', ')}`]),
    ...(priority === 0 ? [] : [`priority ${priority}`]),
  ];
  return `${methods} ${match.hosts.join(',')}${path}${more.length === 0 ? '' : ` (${more.join('; ')})`}`;
}

function whatItDoes({ action, transcode }: RouteSettings): string {
  if (transcode === undefined) return actionWords(action);
  const { api } = transcode;
  const methods = api === null ? 'by reflection' : `${new Set(api.bindings.map(({ rpc }) => rpc)).size} methods`;
  return `${actionWords(action)} as JSON (${methods})`;
}

function actionWords(action: RouteAction): string {
  switch (action.kind) {
    case 'service':
      return action.targets.length === 1
        ? `service ${action.targets[0]?.service}`
        : `services ${action.targets.map(({ service, weight }) => `${service} (${weight})`).join(', ')}`;
    case 'respond':
      return `respond ${action.response.status}`;
    case 'aggregate':
      return `aggregate ${action.aggregate.parts.map(planWords).join(', ')}`;
    case 'handler':
      return `handler ${action.handler.file}`;
    case 'ticket':
      return `ticket for ${action.ttlMs / 1_000} s`;
    case 'redirect':
      return `redirect ${action.status} ${action.location}`;
  }
}

/** `orders (after user)`: the plan of a composition, in the order in which it runs. */
function planWords({ name, service, needs, forEach }: AggregateSettings['parts'][number]): string {
  const notes = [
    ...(needs.length === 0 ? [] : [`after ${needs.join(' and ')}`]),
    ...(forEach === null ? [] : ['for each']),
  ];
  const from = name === service ? name : `${name} of ${service}`;
  return notes.length === 0 ? from : `${from} (${notes.join(', ')})`;
}
