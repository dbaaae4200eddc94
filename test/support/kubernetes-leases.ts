/**
 * An API server that knows one thing: Leases of coordination.k8s.io/v1, to get, create and update, as strictly as a
 * real one. Every write gives a new `resourceVersion`; an update must name the newest one; what a Lease must not hold
 * is refused with 422. Bearer tokens, TLS and a clock of its own, which `shiftMs` sets.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { json as readJson } from 'node:stream/consumers';
import { TEST_CERTIFICATE, TEST_KEY } from './test-certificate.ts';

interface Stored {
  readonly metadata: Readonly<Record<string, unknown>> & { readonly resourceVersion: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface LeaseCall {
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

const FOLDER = /^\/apis\/coordination\.k8s\.io\/v1\/namespaces\/([a-z0-9-]+)\/leases(?:\/([a-z0-9.-]+))?$/;
/** https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#MicroTime */
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const FIELDS = new Set(['holderIdentity', 'leaseDurationSeconds', 'acquireTime', 'renewTime', 'leaseTransitions']);

export class KubernetesLeases {
  readonly url: string;
  /** Tokens that are accepted; empty accepts every caller. */
  readonly tokens = new Set<string>();
  readonly calls: LeaseCall[] = [];
  /** Its clock minus ours. */
  shiftMs = 0;
  /** Answers everything with 503. */
  isAway = false;
  readonly #server: http.Server;
  readonly #leases = new Map<string, Stored>();
  #version = 1_000;

  private constructor(server: http.Server, scheme: string) {
    this.#server = server;
    this.url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => void this.#serve(request, response));
  }

  static async start(options: { tls?: boolean } = {}): Promise<KubernetesLeases> {
    const tls = options.tls === true;
    const server = tls ? https.createServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }) : http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new KubernetesLeases(server, tls ? 'https' : 'http');
  }

  lease(namespace: string, name: string): Stored | undefined {
    return this.#leases.get(`${namespace}/${name}`);
  }

  /** As `kubectl delete lease` does. */
  delete(namespace: string, name: string): void {
    this.#leases.delete(`${namespace}/${name}`);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? '';
    const path = new URL(request.url ?? '/', this.url).pathname;
    const { status, body } = await this.#answer(method, path, request);
    this.calls.push({ method, path, status });
    response.sendDate = false;
    response.setHeader('date', new Date(Date.now() + this.shiftMs).toUTCString());
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  async #answer(method: string, path: string, request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    const body = method === 'GET' ? null : ((await readJson(request)) as Record<string, unknown>);
    if (this.isAway) return refusal(503, 'etcdserver: request timed out', 'Timeout');
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (this.tokens.size > 0 && !this.tokens.has(token ?? '')) return refusal(401, 'Unauthorized', 'Unauthorized');
    const [, namespace = '', name] = FOLDER.exec(path) ?? [];
    if (namespace === '') return refusal(404, 'the server could not find the requested resource', 'NotFound');
    if (method === 'GET' && name !== undefined) return this.#get(namespace, name);
    if (method === 'POST' && name === undefined) return this.#create(namespace, body!);
    if (method === 'PUT' && name !== undefined) return this.#update(namespace, name, body!);
    return refusal(405, 'the server does not allow this method on the requested resource', 'MethodNotAllowed');
  }

  #get(namespace: string, name: string): { status: number; body: unknown } {
    const stored = this.lease(namespace, name);
    if (stored === undefined) return refusal(404, `leases.coordination.k8s.io "${name}" not found`, 'NotFound');
    return { status: 200, body: whole(stored) };
  }

  #create(namespace: string, body: Record<string, unknown>): { status: number; body: unknown } {
    const problem = problemOf(body);
    if (problem !== null) return refusal(422, problem, 'Invalid');
    const { name, ...metadata } = body['metadata'] as { name: string; resourceVersion?: string };
    if (metadata.resourceVersion !== undefined)
      return refusal(400, 'resourceVersion should not be set on objects to be created', 'BadRequest');
    if (this.lease(namespace, name) !== undefined)
      return refusal(409, `leases.coordination.k8s.io "${name}" already exists`, 'AlreadyExists');
    const made = { uid: `uid-${this.#version}`, creationTimestamp: '2026-01-01T00:00:00Z' };
    return this.#put(201, namespace, name, { ...metadata, ...made }, body);
  }

  #update(namespace: string, name: string, body: Record<string, unknown>): { status: number; body: unknown } {
    const former = this.lease(namespace, name);
    if (former === undefined) return refusal(404, `leases.coordination.k8s.io "${name}" not found`, 'NotFound');
    const problem = problemOf(body);
    if (problem !== null) return refusal(422, problem, 'Invalid');
    const metadata = body['metadata'] as Stored['metadata'] & { name: string };
    if (metadata.name !== name) return refusal(400, 'the name of the object does not match the URL', 'BadRequest');
    if (metadata.resourceVersion === undefined)
      return refusal(422, 'metadata.resourceVersion: Invalid value: 0: must be specified for an update', 'Invalid');
    if (metadata.resourceVersion !== former.metadata.resourceVersion)
      return refusal(409, 'the object has been modified; please apply your changes to the latest version', 'Conflict');
    return this.#put(200, namespace, name, metadata, body);
  }

  #put(status: number, namespace: string, name: string, metadata: object, body: Record<string, unknown>) {
    const resourceVersion = String(++this.#version);
    const stored: Stored = {
      metadata: { ...metadata, name, namespace, resourceVersion },
      spec: body['spec'] as Stored['spec'],
    };
    this.#leases.set(`${namespace}/${name}`, stored);
    return { status, body: whole(stored) };
  }
}

function whole(stored: Stored): unknown {
  return { kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', ...stored };
}

function problemOf(body: Record<string, unknown>): string | null {
  if (body['apiVersion'] !== 'coordination.k8s.io/v1' || body['kind'] !== 'Lease') return 'it is no Lease';
  const spec = (body['spec'] ?? {}) as Record<string, unknown>;
  const unknown = Object.keys(spec).find((field) => !FIELDS.has(field));
  if (unknown !== undefined) return `unknown field "spec.${unknown}"`;
  const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = spec;
  if (seconds !== undefined && !(Number.isInteger(seconds) && (seconds as number) > 0))
    return 'spec.leaseDurationSeconds: must be greater than 0';
  if (transitions !== undefined && !(Number.isInteger(transitions) && (transitions as number) >= 0))
    return 'spec.leaseTransitions: must be greater than or equal to 0';
  for (const field of ['acquireTime', 'renewTime'])
    if (spec[field] !== undefined && !MICRO_TIME.test(String(spec[field]))) return `spec.${field}: is no MicroTime`;
  return null;
}

function refusal(code: number, message: string, reason: string): { status: number; body: unknown } {
  return {
    status: code,
    body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code },
  };
}
