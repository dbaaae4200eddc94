/**
 * A route that no document describes, as far as the configuration tells: paths, methods, and what publish and subscribe
 * do.
 */
import type { PublishSettings } from '../../data/contract/events.ts';
import { parsePattern } from '../../data/contract/route-pattern.ts';
import type { RouteSettings } from '../../data/contract/snapshot.ts';
import { hubOperations, makingMethods, publishText, SUBSCRIBE_TEXT } from '../events/api-description.ts';
import { type Mapping, type OperationText, operation, pathParameters, templated } from '../openapi-document.ts';
import { TICKET_TEXT } from '../tickets/api-description.ts';

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
  const own = ownOf(route, path);
  const tag = route.action.kind === 'ticket' ? 'authentication' : 'events';
  if (own !== undefined)
    return {
      operations: Object.entries(own).map(([key, text]) => {
        const [method = '', written = ''] = key.split(' ');
        const at = templated(written);
        return { path: at, method: method.toLowerCase(), operation: operation(tag, method, at, text) };
      }),
    };
  const methods = match.methods.length === 0 ? USUAL : match.methods;
  return {
    operations: methods
      .filter((method) => DOCUMENTED.has(method))
      .map((method) => ({
        path,
        method: method.toLowerCase(),
        operation: {
          summary: `${method} ${match.path.kind === 'pattern' ? match.path.pattern : path}`,
          ...(pattern.wildcard ? { description: `\`{${rest}}\` stands for all that follows, slashes included.` } : {}),
          ...(path.includes('{') ? { parameters: pathParameters(path) } : {}),
          ...(WITH_BODY.has(method) ? { requestBody: { content: { '*/*': { schema: {} } } } } : {}),
          responses: responsesOf(route),
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

/** What the gateway does itself on such a route, or undefined. */
function ownOf(route: RouteSettings, path: string): Readonly<Record<string, OperationText>> | undefined {
  const options = (name: string) => route.policies.find((policy) => policy.name === name)?.options;
  const publish = options('publish');
  if (publish !== undefined) return asMethods(route, path, publishText(publish as PublishSettings));
  if (route.action.kind === 'ticket') return asMethods(route, path, TICKET_TEXT);
  if (options('realtime') !== undefined) return hubOperations(path.replace(/\/\{[^}]*\}$/, ''));
  return options('subscribe') === undefined ? undefined : { [`GET ${path}`]: SUBSCRIBE_TEXT };
}

function asMethods(
  { match }: RouteSettings,
  path: string,
  text: OperationText,
): Readonly<Record<string, OperationText>> {
  return Object.fromEntries(makingMethods(match.methods).map((method) => [`${method} ${path}`, text]));
}
