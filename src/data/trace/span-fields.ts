/**
 * Pieces of spans as the bytes of OTLP (opentelemetry/proto/trace/v1/trace.proto) that are the same from span to span,
 * made once: names, kinds and attributes of routes, instances, methods, statuses and clients. Names of attributes are
 * those of the semantic conventions for HTTP, pinned by the schema URL of the export; what they do not know is below
 * `gatehouse.`. span-writer.ts puts them together.
 */
import { type AttributeValue, KEY, tag, writeAttribute } from '../../base/protobuf/attributes.ts';
import { WireWriter } from '../../base/protobuf/wire.ts';
import type { InstanceSettings } from '../contract/snapshot.ts';

/** `SpanKind` of OTLP. */
export const INTERNAL = 1;
export const SERVER = 2;
export const CLIENT = 3;
const CONSUMER = 5;
const STATUS_ERROR = 2;

export const SPAN: number = tag(2, 2);
export const TRACE_ID: number = tag(1, 2);
export const SPAN_ID: number = tag(2, 2);
export const TRACE_STATE: number = tag(3, 2);
export const PARENT_ID: number = tag(4, 2);
export const NAME: number = tag(5, 2);
export const KIND: number = tag(6, 0);
export const START: number = tag(7, 1);
export const END: number = tag(8, 1);
export const ATTRIBUTE: number = tag(9, 2);
const STATUS = tag(15, 2);
const STATUS_CODE = tag(3, 0);
export const FLAGS: number = tag(16, 5);

const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
]);

/** What it looks at of a route. */
export interface TracedRoute {
  readonly settings: { readonly id: string; readonly match: { readonly path: object } };
}

/** The bytes that `write` writes. */
function made(write: (out: WireWriter) => void): Buffer {
  const out = new WireWriter(256);
  write(out);
  return out.done();
}

/** A whole attribute. */
export function attribute(key: string, value: AttributeValue): Buffer {
  return made((out) => writeAttribute(out, ATTRIBUTE, key, value));
}

/** The key of an attribute whose value is written each time. */
export function keyOf(key: string): Buffer {
  return made((out) => {
    out.varint(KEY);
    out.text(key);
  });
}

/** `Span.status` of a failed one. */
export const FAILED: Buffer = made((out) => {
  out.varint(STATUS);
  const status = out.begin();
  out.varint(STATUS_CODE);
  out.varint(STATUS_ERROR);
  out.end(status);
});

export const RECORDED: Readonly<Record<'s' | 'e' | 'l', Buffer>> = {
  s: attribute('gatehouse.recorded', 'sampled'),
  e: attribute('gatehouse.recorded', 'error'),
  l: attribute('gatehouse.recorded', 'slow'),
};
export const REUSED: Buffer = attribute('gatehouse.connection.reused', true);
export const NOT_REUSED: Buffer = attribute('gatehouse.connection.reused', false);
export const GRPC: Buffer = attribute('rpc.system.name', 'grpc');
export const ABANDONED: Buffer = attribute('gatehouse.abandoned', true);

function writeNameAndKind(out: WireWriter, name: string, kind: number): void {
  out.varint(NAME);
  out.text(name);
  out.varint(KIND);
  out.varint(kind);
}

function methodName(method: string): string {
  return KNOWN_METHODS.has(method) ? method : 'HTTP';
}

function writeMethod(out: WireWriter, method: string): void {
  const isKnown = KNOWN_METHODS.has(method);
  writeAttribute(out, ATTRIBUTE, 'http.request.method', isKnown ? method : '_OTHER');
  if (!isKnown) writeAttribute(out, ATTRIBUTE, 'http.request.method_original', method);
}

/** Statuses that were met; there are no others than 0 to 999. */
const STATUSES: (Buffer | undefined)[] = [];

export function statusPart(status: number): Buffer {
  const known = STATUSES[status];
  if (known !== undefined) return known;
  const part = attribute('http.response.status_code', status);
  STATUSES[status] = part;
  return part;
}

/** Name, kind and method of the attempts of requests with this method; methods of callers are not kept. */
const ATTEMPTS = new Map<string, Buffer>();

export function attemptPart(method: string): Buffer {
  const known = ATTEMPTS.get(method);
  if (known !== undefined) return known;
  const part = made((out) => {
    writeNameAndKind(out, methodName(method), CLIENT);
    writeMethod(out, method);
  });
  if (KNOWN_METHODS.has(method)) ATTEMPTS.set(method, part);
  return part;
}

/** `Span.flags`: those of the trace, and whether the parent is another's is known, and so. */
const SAMPLED_FLAG = 0x1;
const RANDOM_FLAG = 0x2;
const KNOWN_PARENT_FLAG = 0x100;
const REMOTE_PARENT_FLAG = 0x200;

function flags(value: number): Buffer {
  return made((out) => {
    out.varint(FLAGS);
    out.fixed32(SAMPLED_FLAG | KNOWN_PARENT_FLAG | value);
  });
}

const OWN_PARENT: Buffer = flags(0);
const OWN_PARENT_RANDOM: Buffer = flags(RANDOM_FLAG);
const REMOTE_PARENT: Buffer = flags(REMOTE_PARENT_FLAG);
const REMOTE_PARENT_RANDOM: Buffer = flags(REMOTE_PARENT_FLAG | RANDOM_FLAG);

export function flagsPart(isRemote: boolean, isRandom: boolean): Buffer {
  if (isRemote) return isRandom ? REMOTE_PARENT_RANDOM : REMOTE_PARENT;
  return isRandom ? OWN_PARENT_RANDOM : OWN_PARENT;
}

/** Several pieces that mostly stand together, joined: to copy one is cheaper than to copy four. */
export class JoinedParts {
  #first: Buffer | null = null;
  #second: Buffer | null = null;
  #third: Buffer | null = null;
  #fourth: Buffer | null = null;
  #joined: Buffer = Buffer.alloc(0);

  /** Those of the last time are at hand. */
  of(first: Buffer, second: Buffer, third: Buffer, fourth: Buffer): Buffer {
    if (first === this.#first && second === this.#second && third === this.#third && fourth === this.#fourth)
      return this.#joined;
    this.#first = first;
    this.#second = second;
    this.#third = third;
    this.#fourth = fourth;
    this.#joined = Buffer.concat([first, second, third, fourth]);
    return this.#joined;
  }
}

/** Name, kind and system of an attempt to deliver an event of this stream. */
export function writeDelivery(out: WireWriter, stream: string, method: string): void {
  writeNameAndKind(out, `deliver ${stream}`, CONSUMER);
  writeMethod(out, method);
  out.raw(DELIVERY);
}

const DELIVERY: Buffer = made((out) => {
  writeAttribute(out, ATTRIBUTE, 'messaging.system', 'gatehouse');
  writeAttribute(out, ATTRIBUTE, 'messaging.operation.name', 'deliver');
  writeAttribute(out, ATTRIBUTE, 'messaging.operation.type', 'process');
});

/** The same of attempts for a part of a composition, whose methods are not those of the request. */
export const PART_ATTEMPT: Buffer = made((out) => writeNameAndKind(out, 'HTTP', CLIENT));

export function innerPart(name: string): Buffer {
  return made((out) => writeNameAndKind(out, name, INTERNAL));
}

const NO_ROUTE: TracedRoute = { settings: { id: '', match: { path: {} } } };

/** Of each route, by method. They go with the configuration that the routes are of. */
export class RouteParts {
  readonly #byRoute = new WeakMap<TracedRoute, Map<string, Buffer>>();
  #route: TracedRoute | null = null;
  #method = '';
  #part: Buffer = FAILED;

  /** Name, kind, method, pattern and id. */
  of(route: TracedRoute | null, method: string): Buffer {
    const found = route ?? NO_ROUTE;
    if (found === this.#route && method === this.#method) return this.#part;
    let parts = this.#byRoute.get(found);
    if (parts === undefined) {
      parts = new Map();
      this.#byRoute.set(found, parts);
    }
    const part = parts.get(method) ?? made((out) => writeRoute(out, found, method));
    if (!KNOWN_METHODS.has(method)) return part;
    parts.set(method, part);
    this.#route = found;
    this.#method = method;
    this.#part = part;
    return part;
  }
}

function writeRoute(out: WireWriter, { settings }: TracedRoute, method: string): void {
  const { pattern = '' } = settings.match.path as { readonly pattern?: string };
  writeNameAndKind(out, pattern === '' ? methodName(method) : `${methodName(method)} ${pattern}`, SERVER);
  writeMethod(out, method);
  if (pattern !== '') writeAttribute(out, ATTRIBUTE, 'http.route', pattern);
  if (settings.id !== '') writeAttribute(out, ATTRIBUTE, 'gatehouse.route', settings.id);
}

/** Of each instance, under its service. */
export class InstanceParts {
  readonly #byInstance = new WeakMap<InstanceSettings, { readonly attributes: Buffer; readonly base: Buffer }>();

  /** `base`: the URL in front of paths. */
  of(service: string, instance: InstanceSettings): { readonly attributes: Buffer; readonly base: Buffer } {
    const known = this.#byInstance.get(instance);
    if (known !== undefined) return known;
    const parts = {
      attributes: made((out) => {
        writeAttribute(out, ATTRIBUTE, 'server.address', instance.host);
        writeAttribute(out, ATTRIBUTE, 'server.port', instance.port);
        writeAttribute(out, ATTRIBUTE, 'gatehouse.service', service);
        writeAttribute(out, ATTRIBUTE, 'gatehouse.instance', instance.id);
      }),
      base: Buffer.from(instance.url.replace(/\/$/, '')),
    };
    this.#byInstance.set(instance, parts);
    return parts;
  }
}

/** What the client of one connection is, which is mostly the same from request to request. */
export interface TracedClient {
  readonly scheme: string;
  readonly host: string;
  readonly address: string;
  readonly protocol: string;
  readonly agent: string | null;
}

const MOST_AGENT = 200;

export function clientPart({ scheme, host, address, protocol, agent }: TracedClient): Buffer {
  return made((out) => {
    writeAttribute(out, ATTRIBUTE, 'url.scheme', scheme);
    if (host !== '') writeAttribute(out, ATTRIBUTE, 'server.address', host);
    writeAttribute(out, ATTRIBUTE, 'client.address', address);
    writeAttribute(out, ATTRIBUTE, 'network.protocol.version', protocol);
    if (agent !== null && agent !== '')
      writeAttribute(out, ATTRIBUTE, 'user_agent.original', agent.slice(0, MOST_AGENT));
  });
}
