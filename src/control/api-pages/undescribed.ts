/**
 * A route that no document describes, as far as the configuration tells: paths, methods, and what publish and subscribe
 * do.
 */
import { parsePattern } from '../../data/contract/route-pattern.ts';
import type { RouteSettings } from '../../data/contract/snapshot.ts';
import { type Mapping, pathParameters } from '../openapi-document.ts';

export interface UndescribedOperation {
  readonly path: string;
  readonly method: string;
  readonly operation: Mapping;
}

/** Of a route that takes any method. */
const USUAL = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH']);
const DOCUMENTED = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE']);

export function undescribed(
  route: RouteSettings,
): { readonly operations: readonly UndescribedOperation[] } | { readonly problem: string } {
  const { match, id } = route;
  if (match.path.kind === 'regex') return { problem: `route ${id}: a regular expression has no place in OpenAPI` };
  const pattern = parsePattern(match.path.pattern);
  const segments = pattern.segments.map((segment) => (segment.kind === 'literal' ? segment.text : `{${segment.name}}`));
  const rest = freeName(segments);
  const path = `/${[...segments, ...(pattern.wildcard ? [`{${rest}}`] : [])].join('/')}`;
  const event = eventOf(route);
  const methods = event?.methods ?? (match.methods.length === 0 ? USUAL : match.methods);
  return {
    operations: methods
      .filter((method) => DOCUMENTED.has(method))
      .map((method) => ({
        path,
        method: method.toLowerCase(),
        operation: {
          summary: event?.summary ?? `${method} ${match.path.kind === 'pattern' ? match.path.pattern : path}`,
          ...(pattern.wildcard ? { description: `\`{${rest}}\` stands for all that follows, slashes included.` } : {}),
          ...(path.includes('{') ? { parameters: pathParameters(path) } : {}),
          ...(WITH_BODY.has(method) ? { requestBody: { content: { '*/*': { schema: {} } } } } : {}),
          responses: event?.responses ?? responsesOf(route),
        },
      })),
  };
}

function freeName(segments: readonly string[]): string {
  let name = 'rest';
  while (segments.includes(`{${name}}`)) name += '_';
  return name;
}

function responsesOf({ action }: RouteSettings): Mapping {
  if (action.kind === 'respond') return { [action.response.status]: { description: 'A fixed response.' } };
  if (action.kind === 'redirect') return { [action.status]: { description: `A redirect to ${action.location}.` } };
  if (action.kind === 'aggregate')
    return {
      200: { description: 'Parts of several services in one.', content: { 'application/json': { schema: {} } } },
    };
  return { default: { description: 'What the service responds.' } };
}

function eventOf({ policies, match }: RouteSettings) {
  if (policies.some(({ name }) => name === 'publish')) {
    const wanted = match.methods.filter((method) => WITH_BODY.has(method));
    return {
      methods: wanted.length === 0 ? ['POST'] : wanted,
      summary: 'Publishes an event',
      responses: { 202: { description: 'The event is kept and will reach its subscribers.' } },
    };
  }
  if (!policies.some(({ name }) => name === 'subscribe')) return undefined;
  return {
    methods: ['GET'],
    summary: 'Subscribes to events, as server-sent events or over a WebSocket',
    responses: { 200: { description: 'Events.', content: { 'text/event-stream': { schema: { type: 'string' } } } } },
  };
}
