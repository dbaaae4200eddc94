/** `redirect`: to a location that is put together from the request. */

import { FAULTS, Fault } from '../../base/errors.ts';
import type { RouteAction } from '../exchange/active-config.ts';
import type { Exchange } from '../exchange/exchange.ts';

export function redirectAction(status: number, location: string): RouteAction {
  const needsHost = /\$\{host(?:name)?\}/.test(location);
  return {
    open(exchange) {
      if (needsHost && exchange.host === '') return NO_HOST;
      return { status, headers: { Location: redirectTarget(location, exchange) }, body: '' };
    },
  };
}

/** `https:///path` is read as the host `path`, which the caller of a link chose (WHATWG URL, "special authority"). */
const NO_HOST = new Fault(FAULTS.malformedRequest, { detail: 'the request names no host to redirect to' });

/** `${path}`, `${query}`, `${search}`, `${host}`, `${hostname}` and `:name` of the match in a redirect's target. */
function redirectTarget(template: string, exchange: Exchange): string {
  const target = template.replace(
    /\$\{(path|query|host|hostname|search)\}|:([A-Za-z_][A-Za-z0-9_]*)/g,
    (whole, name: string | undefined, param: string | undefined) => {
      if (param !== undefined)
        return exchange.params[param] === undefined ? whole : encodeURIComponent(exchange.params[param]);
      if (name === 'path') return exchange.path;
      if (name === 'host') return exchange.authority;
      if (name === 'hostname') return exchange.host.includes(':') ? `[${exchange.host}]` : exchange.host;
      if (name === 'search') return exchange.target.hasQuery ? `?${exchange.query}` : '';
      return exchange.query;
    },
  );
  // What begins with two slashes is read as another host (RFC 3986 §4.2); browsers take a backslash for a slash (WHATWG
  // URL, "relative slash state").
  return /^[/\\]{2}/.test(target) && !template.startsWith('//') ? target.replace(/^[/\\]+/, '/') : target;
}
