/** Header fields that nginx sets, takes off and hides, as `headers` of a route. */
import type { Draft, DraftRoute } from './draft.ts';
import { nearest, type Scope } from './nginx-scope.ts';

/** Fields that the gateway writes itself, so that a client's own never arrive. */
const OWN_FIELD = /^(host|upgrade|connection|x-forwarded-.*|forwarded)$/i;
const OWN_VALUES: readonly string[] = [
  '$remote_addr',
  '$proxy_add_x_forwarded_for',
  '$scheme',
  '$host',
  '$http_host',
  '$http_upgrade',
  '$connection_upgrade',
  '$server_port',
];

const VARIABLES: Readonly<Record<string, string>> = {
  remote_addr: '{request.address}',
  host: '{request.host}',
  http_host: '{request.host}',
  request_method: '{request.method}',
  request_id: '{request.id}',
  scheme: '{request.scheme}',
};

/** Null where a variable has no counterpart. */
function templateOf(value: string): string | null {
  let isWhole = true;
  const template = value.replace(/\$(?:\{(\w+)\}|(\w+))|[{}$]/g, (text, braced?: string, plain?: string) => {
    if (text === '{' || text === '}') return text + text;
    const name = braced ?? plain ?? '';
    const known =
      VARIABLES[name] ?? (/^http_\w+$/.test(name) ? `{header.${name.slice(5).replaceAll('_', '-')}}` : null);
    isWhole &&= known !== null;
    return known ?? '';
  });
  return isWhole ? template : null;
}

export function headersOf(draft: Draft, route: DraftRoute, scope: Scope, source: string): undefined {
  const set: Record<string, string> = {};
  const remove: string[] = [];
  for (const { args, line } of nearest(scope, 'proxy_set_header')) {
    const [name = '', value = ''] = args;
    const at = `${source} proxy_set_header ${name}`;
    const forwarded = (draft.gateway['forwarded'] ?? {}) as Record<string, unknown>;
    if (/^x-real-ip$/i.test(name) && value === '$remote_addr') {
      draft.gateway['forwarded'] = { ...forwarded, realIp: true };
    } else if (/^x-forwarded-port$/i.test(name) && value !== '') {
      draft.gateway['forwarded'] = { ...forwarded, port: true };
    } else if (OWN_FIELD.test(name)) {
      if (name.toLowerCase() !== 'host' && value !== '' && !OWN_VALUES.includes(value) && !/^upgrade$/i.test(value))
        draft.approximate(at, 'the gateway writes this field itself', line);
    } else if (value === '') {
      if (scope.fieldProblem('request', name, 'x') === undefined) remove.push(name);
    } else {
      const template = templateOf(value);
      if (template !== null && scope.fieldProblem('request', name, template) === undefined) set[name] = template;
      else if (scope.fieldProblem('request', name, 'x') !== undefined)
        draft.approximate(at, 'the gateway writes this field itself, or takes it off', line);
      else {
        // nginx puts its own value in the place of the client's, which would now be believed.
        remove.push(name);
        draft.lost(at, 'the variables are written anew as placeholders; what clients send in it is taken off', line);
      }
    }
  }
  const hidden = nearest(scope, 'proxy_hide_header').map(({ args }) => args[0] ?? '');
  const response: Record<string, string> = {};
  for (const { args, line } of nearest(scope, 'add_header')) {
    const [name = '', value = ''] = args;
    const template = templateOf(value);
    if (
      template === null ||
      scope.fieldProblem('response', name, template) !== undefined ||
      Object.hasOwn(response, name)
    )
      draft.lost(`${source} add_header ${name}`, 'it is written anew (headers.response)', line);
    else response[name] = template;
  }
  const request = { ...(remove.length === 0 ? {} : { remove }), ...(Object.keys(set).length === 0 ? {} : { set }) };
  const ofResponse = {
    ...(hidden.length === 0 ? {} : { remove: hidden }),
    ...(Object.keys(response).length === 0 ? {} : { add: response }),
  };
  const headers = {
    ...(Object.keys(request).length === 0 ? {} : { request }),
    ...(Object.keys(ofResponse).length === 0 ? {} : { response: ofResponse }),
  };
  if (Object.keys(headers).length > 0) route['headers'] = headers;
}
