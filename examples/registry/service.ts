/**
 * A service that registers itself with the gateway: the two lines are at the end. It answers every request with its
 * own address, so that one sees who answered.
 *
 *     GATEHOUSE_REGISTRY_TOKEN=... node examples/registry/service.ts
 *
 * GATEWAY is the gateway's URL (default http://127.0.0.1:8000), PORT the port to listen on (default any free one).
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
// In a project of your own: import { register } from 'gatehouse/registry';
import { register } from '../../src/registry/index.ts';

const server = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ answeredBy: url, path: request.url }));
});
await new Promise<void>((resolve) => server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const gateway = process.env['GATEWAY'] ?? 'http://127.0.0.1:8000';
const token = process.env['GATEHOUSE_REGISTRY_TOKEN'] ?? '';
const lease = await register({ gateway, token, service: 'orders', url, deregisterOn: ['SIGTERM', 'SIGINT'] });

console.log(`${url} is registered as ${lease.id}`);
