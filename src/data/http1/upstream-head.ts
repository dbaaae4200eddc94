/** The head of the upstream request: what the caller sent, less what must not pass, plus what the gateway says. */

import type { FieldWriter } from '../contract/field-writer.ts';
import type { UpstreamInstance } from '../exchange/attempt.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { REQUEST_DROP } from '../exchange/forwarding.ts';
import { derivedOf } from '../exchange/identity-derived.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { CHUNKED } from '../parser/framing.ts';
import { writeFieldLines } from '../parser/serialize.ts';
import { constant } from '../wire/outbox.ts';

const GET = constant('GET ');
const VERSION_AND_HOST = constant(' HTTP/1.1\r\nHost: ');
const REQUEST_ID = constant('X-Request-ID: ');
const LINE_END = constant('\r\n');
const HEAD_END = constant('\r\n\r\n');

/** Ends with the empty line. */
export function writeUpstreamHead(
  out: FieldWriter,
  exchange: Exchange,
  incoming: RequestBuffers,
  endpoint: UpstreamInstance,
  removed: readonly string[] | null,
  added: string,
): void {
  const { head, meaning } = incoming;
  writeRequestLine(out, exchange, endpoint);
  out.run(VERSION_AND_HOST, 0, VERSION_AND_HOST.length);
  out.text(hostFor(exchange, endpoint));
  out.run(LINE_END, 0, 2);
  writeFieldLines(out, head, REQUEST_DROP, meaning.nominated, removed);
  out.text(exchange.downstream.texts.forwarding(exchange, head));
  const identity = exchange.identity;
  if (identity !== null) out.text(derivedOf(identity).upstreamLines);
  if (added !== '') out.text(added);
  if (meaning.bodyLength === CHUNKED) out.text('Transfer-Encoding: chunked\r\n');
  if (meaning.upgrade >= 0) out.text(`Connection: Upgrade\r\nUpgrade: ${head.value(meaning.upgrade)}\r\n`);
  else if (meaning.takesTrailers) out.text('Connection: TE\r\nTE: trailers\r\n');
  out.run(REQUEST_ID, 0, REQUEST_ID.length);
  exchange.writeRequestId(out);
  out.run(HEAD_END, 0, 4);
}

function writeRequestLine(out: FieldWriter, exchange: Exchange, endpoint: UpstreamInstance): void {
  const { method, target } = exchange;
  const { basePath } = endpoint.settings;
  if (method === 'GET') out.run(GET, 0, 4);
  else out.text(`${method} `);
  if (basePath !== '') out.text(basePath);
  out.text(exchange.upstreamPath);
  if (target.hasQuery) {
    out.text('?');
    out.text(target.query);
  }
}

function hostFor(exchange: Exchange, endpoint: UpstreamInstance): string {
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
