/** The head of the upstream request: what the client sent, less what must not pass, plus what the gateway says. */
import { FieldStart } from '../contract/field-block.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import { derivedOf } from '../contract/identity-derived.ts';
import { idOfName } from '../parser/field-names.ts';
import type { DropMask, HeadWriter } from '../parser/head-writer.ts';
import { hasPrefix } from '../router/path-prefix.ts';
import type { Attempt, UpstreamService } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import { type FieldChanges, RemovingWriter } from './field-changes.ts';
import { authorityOf, requestDrop, writeAskedFor } from './forwarding.ts';
import { PREVIOUS_ATTEMPTS, timeoutText } from './grpc.ts';
import type { RequestBuffers } from './request-buffers.ts';
import type { UpstreamStream } from './upstream-stream.ts';

export const REQUEST_ID: FieldStart = new FieldStart('X-Request-ID');

export function writeRequestHead(
  stream: UpstreamStream,
  attempt: Attempt,
  exchange: Exchange,
  incoming: RequestBuffers,
  changes: FieldChanges | null,
): void {
  const { meaning } = incoming;
  const { endpoint, service } = attempt;
  const out = stream.begin(
    attempt,
    exchange.method,
    authorityFor(exchange, service) ?? authorityOf(endpoint.settings),
    endpoint.settings.basePath,
    exchange.isAllStripped && endpoint.settings.basePath !== '' ? '' : exchange.upstreamPath,
    exchange.upstreamQuery,
    exchange.upgrade,
  );
  // The client's own Content-Length is among the fields, unless the body is another one.
  const isChanged = exchange.changesRequestBody;
  writeRequestFields(
    out,
    exchange,
    incoming,
    requestDrop(exchange.peer.trusted, isChanged, exchange.trace !== null),
    changes,
  );
  exchange.trace?.send(ownWriter(out, changes), attempt);
  const isGrpc = service.settings.protocol === 'grpc';
  // Each attempt gets what is left of the client's deadline.
  if (isGrpc && exchange.deadlineMs > 0) out.field('grpc-timeout', timeoutText(exchange.remainingMs));
  if (isGrpc && exchange.previousAttempts > 0) out.field(PREVIOUS_ATTEMPTS, `${exchange.previousAttempts}`);
  // The status of a gRPC call is a trailer.
  stream.endHead(exchange.body.length, isChanged, meaning.takesTrailers || isGrpc);
}

/**
 * Without those that belong to the connection. What a policy says of a field stands in place of what the client sent
 * and of what the gateway would say itself.
 */
export function writeRequestFields(
  out: HeadWriter,
  exchange: Exchange,
  { head, meaning }: RequestBuffers,
  drop: DropMask,
  changes: FieldChanges | null,
): void {
  const prefix = prefixFor(exchange, changes);
  const removed = changes === null ? null : changes.removed;
  out.copyFields(head, drop, meaning.nominated, prefix === '' ? removed : [...(removed ?? []), PREFIX]);
  const own = ownWriter(out, changes);
  exchange.downstream.cache.writeForwarding(own, exchange, head);
  if (prefix !== '') own.field('X-Forwarded-Prefix', prefix);
  const asked = exchange.live.gateway.forwarded;
  if (asked !== undefined) writeAskedFor(own, exchange, asked);
  const identity = exchange.identity;
  if (identity !== null) own.fields(derivedOf(identity));
  if (changes !== null) changes.writeAdded(out);
  own.begin(REQUEST_ID);
  exchange.writeRequestId(own);
  own.end();
}

/** A request field as a service gets it: what the client sent, unless the gateway says something in its place. */
export function sentField(
  exchange: Exchange,
  { head, meaning }: RequestBuffers,
  changes: FieldChanges | null,
  name: string,
): string | null {
  const { identity, peer, trace } = exchange;
  const isOwn =
    requestDrop(peer.trusted, false, trace !== null)[idOfName(name)] !== 0 ||
    (identity !== null && derivedOf(identity).keys.has(name)) ||
    name === PREFIX;
  if (isOwn) return exchange.forwardedFields().valueOf(name);
  const isTaken = meaning.nominated?.includes(name) === true || changes?.removes(name) === true;
  const sent = isTaken ? null : head.valueOf(name);
  const added = changes === null ? null : changes.addedValue(name);
  return sent === null || added === null ? (sent ?? added) : `${sent}, ${added}`;
}

/** Writes what the gateway says itself, unless a policy says something else. */
function ownWriter(out: HeadWriter, changes: FieldChanges | null): FieldWriter {
  return changes === null || changes.removed === null ? out : new RemovingWriter(out, changes);
}

const PREFIX = 'x-forwarded-prefix';

/** What the service does not see of the path, so that its links can begin with it; empty where nothing is stripped. */
function prefixFor(exchange: Exchange, changes: FieldChanges | null): string {
  const { route } = exchange;
  const stripped = route!.strippedPrefix;
  if (stripped === '' || exchange.isTargetChanged || changes?.removes(PREFIX) === true) return '';
  if (!hasPrefix(exchange.target.path, stripped)) return '';
  return exchange.client === null ? stripped : exchange.client.prefix + stripped;
}

/** Null: the instance's own. */
export function authorityFor(exchange: Exchange, service: UpstreamService): string | null {
  const rewritten = exchange.route!.settings.rewrite?.host ?? null;
  if (rewritten !== null) return rewritten;
  const { host } = service.settings;
  if (host === 'preserve') return exchange.authority === '' ? null : exchange.authority;
  return host === 'instance' ? null : host.fixed;
}
