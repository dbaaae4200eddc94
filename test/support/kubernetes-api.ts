/**
 * An API server that knows one thing: the EndpointSlices of discovery.k8s.io/v1, to list (in pages) and to watch, with
 * resource versions, bookmarks, bearer tokens, and 410 when a version is too old. Answers have the shape that a real
 * one sends. The test changes slices and moods; every change reaches the watches that are open.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TEST_CERTIFICATE, TEST_KEY } from './test-certificate.ts';

export interface FakeEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
  readonly zone?: string;
  readonly nodeName?: string;
  readonly hints?: { readonly forZones: readonly { readonly name: string }[] };
  readonly targetRef?: { readonly kind: string; readonly name: string };
}

export interface FakePort {
  readonly name?: string;
  readonly port: number;
  readonly protocol?: string;
  readonly appProtocol?: string;
}

export interface FakeSlice {
  readonly addressType?: 'IPv4' | 'IPv6' | 'FQDN';
  readonly ports?: readonly FakePort[];
  readonly endpoints: readonly FakeEndpoint[] | null;
}

interface StoredSlice {
  readonly object: Record<string, unknown>;
}

interface Watch {
  readonly response: ServerResponse;
}

export class KubernetesApi {
  readonly url: string;
  readonly namespace = 'shop';
  readonly service = 'orders';
  /** Tokens that are accepted; empty accepts every caller. */
  readonly tokens = new Set<string>();
  /** `list` and `watch` with their queries, in the order they came. */
  readonly calls: {
    readonly kind: 'list' | 'watch';
    readonly query: URLSearchParams;
    readonly token: string | null;
  }[] = [];
  /** Answers the next requests with these, then goes on as usual. */
  readonly refusals: { readonly status: number; readonly message: string }[] = [];
  /** Watches from before this version are answered with 410, as after a compaction. */
  oldest = 0;
  pageSize = 500;
  version = 100;
  readonly #slices = new Map<string, StoredSlice>();
  readonly #log: { readonly version: number; readonly line: string }[] = [];
  readonly #watches = new Set<Watch>();
  readonly #server: http.Server | https.Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: http.Server | https.Server, tls: boolean) {
    this.#server = server;
    this.url = `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => this.#serve(request, response));
    server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(options: { tls?: boolean } = {}): Promise<KubernetesApi> {
    const tls = options.tls === true;
    const server = tls ? https.createServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }) : http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new KubernetesApi(server, tls);
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  count(kind: 'list' | 'watch'): number {
    return this.calls.filter((call) => call.kind === kind).length;
  }

  put(name: string, slice: FakeSlice): void {
    const type = this.#slices.has(name) ? 'MODIFIED' : 'ADDED';
    const object = this.#object(name, slice);
    this.#slices.set(name, { object });
    this.#publish({ type, object });
  }

  delete(name: string): void {
    const stored = this.#slices.get(name);
    if (stored === undefined) throw new Error(`there is no slice ${name}`);
    this.#slices.delete(name);
    this.version++;
    const metadata = { ...(stored.object['metadata'] as object), resourceVersion: String(this.version) };
    this.#publish({ type: 'DELETED', object: { ...stored.object, metadata } });
  }

  bookmark(): void {
    this.version++;
    const metadata = { resourceVersion: String(this.version), creationTimestamp: null };
    const object = { kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1', metadata, addressType: '' };
    this.#send({ type: 'BOOKMARK', object });
  }

  /** An error inside open watches, as when their version is compacted away under them. */
  failWatches(code: number, message: string): void {
    const object = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason: 'Expired',
      code,
    };
    this.#send({ type: 'ERROR', object });
  }

  /** Any line, for what a proper server would not send. */
  sendRaw(text: string): void {
    for (const watch of this.#watches) watch.response.write(text);
  }

  /** Ends open watches as the server does when their time is up. */
  endWatches(): void {
    for (const watch of this.#watches) watch.response.end();
  }

  cutConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    this.cutConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #object(name: string, slice: FakeSlice): Record<string, unknown> {
    this.version++;
    return {
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      metadata: {
        name,
        generateName: `${this.service}-`,
        namespace: this.namespace,
        uid: `00000000-0000-4000-8000-${String(this.version).padStart(12, '0')}`,
        resourceVersion: String(this.version),
        generation: 1,
        creationTimestamp: '2026-01-01T00:00:00Z',
        labels: {
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
          'kubernetes.io/service-name': this.service,
        },
      },
      addressType: slice.addressType ?? 'IPv4',
      endpoints: slice.endpoints,
      ports: (slice.ports ?? [{ name: 'http', port: 8080 }]).map((port) => ({ protocol: 'TCP', ...port })),
    };
  }

  #publish(event: { type: string; object: Record<string, unknown> }): void {
    const { resourceVersion } = event.object['metadata'] as { resourceVersion: string };
    this.#log.push({ version: Number(resourceVersion), line: JSON.stringify(event) });
    this.#send(event);
  }

  #send(event: object): void {
    for (const watch of this.#watches) watch.response.write(`${JSON.stringify(event)}\n`);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? null;
    const kind = url.searchParams.get('watch') === '1' ? 'watch' : 'list';
    this.calls.push({ kind, query: url.searchParams, token });
    const folder = `/apis/discovery.k8s.io/v1/namespaces/${this.namespace}/endpointslices`;
    const refusal = this.refusals.shift();
    if (refusal !== undefined) refuse(response, refusal.status, refusal.message);
    else if (this.tokens.size > 0 && (token === null || !this.tokens.has(token))) refuse(response, 401, 'Unauthorized');
    else if (url.pathname !== folder) refuse(response, 404, 'the server could not find the requested resource');
    else if (url.searchParams.get('labelSelector') !== `kubernetes.io/service-name=${this.service}`) {
      refuse(response, 400, 'unable to parse requirement');
    } else if (kind === 'list') this.#list(url.searchParams, response);
    else this.#watch(url.searchParams, response);
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    const all = [...this.#slices.values()].map((stored) => stored.object);
    const from = Number(query.get('continue') ?? 0);
    const size = Math.min(this.pageSize, Number(query.get('limit') ?? this.pageSize));
    const rest = all.length - from - size;
    const metadata = {
      resourceVersion: String(this.version),
      ...(rest > 0 ? { continue: String(from + size), remainingItemCount: rest } : {}),
    };
    const items = all.slice(from, from + size);
    json(response, 200, { kind: 'EndpointSliceList', apiVersion: 'discovery.k8s.io/v1', metadata, items });
  }

  #watch(query: URLSearchParams, response: ServerResponse): void {
    const from = Number(query.get('resourceVersion'));
    if (from < this.oldest) {
      refuse(response, 410, `too old resource version: ${from} (${this.oldest})`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const { version, line } of this.#log) if (version > from) response.write(`${line}\n`);
    const watch = { response };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function refuse(response: ServerResponse, code: number, message: string): void {
  json(response, code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code });
}
