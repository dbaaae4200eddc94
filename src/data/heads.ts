/** The head of the upstream request: what the caller sent, less what must not pass, plus what the gateway says. */
import type { UpstreamEndpoint } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import { REQUEST_DROP } from './forwarding.ts';
import type { Incoming } from './incoming.ts';
import { CHUNKED } from './parser/framing.ts';
import { fieldLines } from './parser/serialize.ts';

export function upstreamHeadText(
  exchange: Exchange,
  incoming: Incoming,
  endpoint: UpstreamEndpoint,
  removed: readonly string[] | null,
  added: string,
): string {
  const { head, meaning } = incoming;
  const { basePath } = endpoint.settings;
  const path = basePath === '' ? exchange.upstreamPath : basePath + exchange.upstreamPath;
  const target = exchange.target.hasQuery ? `${path}?${exchange.query}` : path;
  let text = `${exchange.method} ${target} HTTP/1.1\r\nHost: ${hostFor(exchange, endpoint)}\r\n`;
  text += fieldLines(head, REQUEST_DROP, meaning.nominated, removed);
  text += exchange.downstream.texts.forwarding(exchange, head);
  text += `X-Request-ID: ${exchange.requestId}\r\n`;
  const identity = exchange.identity;
  if (identity !== null)
    for (const name in identity.upstreamHeaders) text += `${name}: ${identity.upstreamHeaders[name]}\r\n`;
  text += added;
  if (meaning.bodyLength === CHUNKED) text += 'Transfer-Encoding: chunked\r\n';
  if (meaning.upgrade >= 0) text += `Connection: Upgrade\r\nUpgrade: ${head.value(meaning.upgrade)}\r\n`;
  else if (meaning.takesTrailers) text += 'Connection: TE\r\nTE: trailers\r\n';
  return `${text}\r\n`;
}

function hostFor(exchange: Exchange, endpoint: UpstreamEndpoint): string {
  const rewritten = exchange.route!.settings.rewrite?.host ?? null;
  if (rewritten !== null) return rewritten;
  const { host } = exchange.service!.settings;
  if (host === 'preserve') return exchange.authority === '' ? authorityOf(endpoint) : exchange.authority;
  if (host === 'instance') return authorityOf(endpoint);
  return host.fixed;
}

function authorityOf(endpoint: UpstreamEndpoint): string {
  const { host, port, protocol } = endpoint.settings;
  const name = host.includes(':') ? `[${host}]` : host;
  return port === (protocol === 'https' ? 443 : 80) ? name : `${name}:${port}`;
}
