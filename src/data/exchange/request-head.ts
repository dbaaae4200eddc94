/** The head of the upstream request: what the client sent, less what must not pass, plus what the gateway says. */
import { FieldStart } from '../contract/field-block.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import type { UpstreamInstance } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import type { FieldChanges } from './field-changes.ts';
import { REQUEST_DROP } from './forwarding.ts';
import { derivedOf } from './identity-derived.ts';
import type { RequestBuffers } from './request-buffers.ts';
import type { UpstreamHandler, UpstreamStream } from './upstream-stream.ts';

export const REQUEST_ID: FieldStart = new FieldStart('X-Request-ID');

export function writeRequestHead(
  stream: UpstreamStream,
  handler: UpstreamHandler,
  exchange: Exchange,
  incoming: RequestBuffers,
  endpoint: UpstreamInstance,
  changes: FieldChanges | null,
): void {
  const { head, meaning } = incoming;
  const { target } = exchange;
  const out = stream.begin(
    handler,
    exchange.method,
    authorityFor(exchange, endpoint),
    endpoint.settings.basePath,
    exchange.upstreamPath,
    target.hasQuery ? target.query : null,
  );
  writeRequestFields(out, exchange, incoming, changes);
  const upgrade = meaning.upgrade < 0 ? '' : head.value(meaning.upgrade);
  // The client's own Content-Length is among the fields.
  stream.endHead(meaning.bodyLength, false, upgrade, meaning.takesTrailers);
}

/** Without those that belong to the connection. */
export function writeRequestFields(
  out: HeadWriter,
  exchange: Exchange,
  { head, meaning }: RequestBuffers,
  changes: FieldChanges | null,
): void {
  out.copyFields(head, REQUEST_DROP, meaning.nominated, changes === null ? null : changes.removed);
  exchange.downstream.cache.writeForwarding(out, exchange, head);
  const identity = exchange.identity;
  if (identity !== null) out.fields(derivedOf(identity));
  if (changes !== null) changes.writeAdded(out);
  out.begin(REQUEST_ID);
  exchange.writeRequestId(out);
  out.end();
}

export function authorityFor(exchange: Exchange, endpoint: UpstreamInstance): string {
  const rewritten = exchange.route!.settings.rewrite?.host ?? null;
  if (rewritten !== null) return rewritten;
  const { host } = exchange.service!.settings;
  if (host === 'preserve') return exchange.authority === '' ? authorityOf(endpoint) : exchange.authority;
  if (host === 'instance') return authorityOf(endpoint);
  return host.fixed;
}

function authorityOf(endpoint: UpstreamInstance): string {
  const { host, port, protocol } = endpoint.settings;
  const name = host.includes(':') ? `[${host}]` : host;
  return port === (protocol === 'https' ? 443 : 80) ? name : `${name}:${port}`;
}
