/** Workers that join by a client certificate, over TLS, through a real gateway. */
import assert from 'node:assert/strict';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClusterCallError, joinCluster, type WorkerTask } from '../../src/cluster-client/index.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 30_000;

const ROOT = 'root-key-0123456789abcdef0123456789';

/** `fetch` over a connection with this certificate. */
function fetchWith(authority: Authority, certificate: Certificate): typeof fetch {
  return (input, init = {}) =>
    new Promise((resolve, reject) => {
      const asked = httpsRequest(
        String(input),
        {
          method: init.method ?? 'GET',
          headers: init.headers as Record<string, string>,
          agent: false,
          ca: authority.ca.certPem,
          cert: certificate.certPem,
          key: certificate.keyPem,
          ...(init.signal == null ? {} : { signal: init.signal }),
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('error', reject);
          response.on('end', () => {
            const status = response.statusCode ?? 0;
            resolve(new Response(status === 204 ? null : Buffer.concat(parts), { status }));
          });
        },
      );
      asked.on('error', reject);
      asked.end(init.body as string | undefined);
    });
}

test('a worker joins by its certificate, works, and takes its own place again; others do not', async (t) => {
  const authority = await Authority.create(t);
  const [own, worker, stranger] = await Promise.all([
    authority.issue('gateway', ['localhost', '127.0.0.1']),
    authority.issue('worker', ['words-1']),
    authority.issue('stranger', ['stranger']),
  ]);
  const gateway = await startTestGateway(
    t,
    {
      gateway: {
        port: undefined,
        host: undefined,
        listeners: [
          {
            name: 'main',
            host: '127.0.0.1',
            port: 0,
            tls: {
              certificates: [{ cert: own.cert, key: own.key }],
              clientCertificate: 'optional',
              clientCa: join(authority.folder, 'ca.crt'),
            },
          },
        ],
        auth: {
          apiKey: {},
          mtls: {
            certificates: [
              { subject: { CN: 'words-1' }, scopes: 'cluster:join' },
              { subject: { CN: 'stranger' }, scopes: 'stories:read' },
            ],
          },
        },
      },
      cluster: {
        name: 'test',
        node: 'one',
        heartbeat: '300ms',
        certified: { 'words-1': { labels: { tier: 'words' }, zone: 'eu-1' } },
      },
      routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200, body: 'hello' } }],
    },
    { API_KEY_1: `${ROOT}:root:cluster:admin,cluster:join:premium` },
  );
  const url = `https://127.0.0.1:${gateway.port}`;
  const asWorker = fetchWith(authority, worker);
  const ask = async (path: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await asWorker(`${url}/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'x-api-key': ROOT, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  await until(async () => (await ask('/cluster')).body['queen'] === 'one', 'there is a queen', PATIENCE_MS);

  const run = async (task: WorkerTask): Promise<unknown> => ({ heard: task.payload });
  const options = { url, run, capacity: 1, labels: { tier: 'mine', size: 'small' } };
  const first = await joinCluster({ ...options, name: 'words-1', fetch: asWorker });
  t.after(() => first.close());
  const node = (await ask(`/nodes/${first.nodeId}`)).body;
  assert.deepEqual([node['labels'], node['zone']], [{ tier: 'words', size: 'small' }, 'eu-1']);
  const made = await ask('/cluster/tasks', { kind: 'say', payload: 'hello', selector: { tier: 'words' } });
  assert.equal(made.status, 202, JSON.stringify(made.body));
  let task = made.body;
  const isDone = async (): Promise<boolean> => {
    task = (await ask(`/cluster/tasks/${String(task['id'])}`)).body;
    return task['state'] === 'done';
  };
  await until(isDone, 'the task is done', PATIENCE_MS);
  assert.deepEqual(task['result'], { heard: 'hello' });

  // The process that has the certificate now is the node: it does not wait for the former one to be missed.
  const again = await joinCluster({ ...options, name: 'words-1', fetch: asWorker });
  t.after(() => again.close());
  assert.equal(again.nodeId, first.nodeId);

  const refused = (status: number) => (error: unknown) => error instanceof ClusterCallError && error.status === status;
  await assert.rejects(joinCluster({ ...options, name: 'words-2', fetch: asWorker }), refused(403), 'another name');
  await assert.rejects(
    joinCluster({ ...options, name: 'stranger', fetch: fetchWith(authority, stranger) }),
    refused(403),
    'without the scope',
  );
  // A key with the scope is no certificate, whatever the caller says of it.
  const plain = await new Promise<number>((resolve, reject) => {
    const asked = httpsRequest(
      `${url}/api/v1/cluster/join-by-certificate`,
      {
        method: 'POST',
        agent: false,
        ca: authority.ca.certPem,
        headers: { 'x-api-key': ROOT, 'content-type': 'application/json', 'x-auth-method': 'mtls' },
      },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    asked.on('error', reject);
    asked.end(JSON.stringify({ name: 'root' }));
  });
  assert.equal(plain, 401);
});
