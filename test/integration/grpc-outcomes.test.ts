/**
 * A gRPC call that failed counts as failed, though HTTP says 200: metrics, objectives, sums, log and traces,
 * of calls and of gRPC-Web, by statuses of the service at once or behind messages and by those of the gateway.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startTestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { assertSeries, readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { deadPort } from '../support/upstream.ts';
import { wholeLines } from '../support/whole-lines.ts';

const PYTHON = '/usr/bin/python3';
const PEER = fileURLToPath(new URL('../support/grpc_peer.py', import.meta.url));
const MESSAGE = Buffer.from([0, 0, 0, 0, 1, 0x78]);

interface Line {
  readonly path: string;
  readonly status: number;
  readonly grpc_status?: number;
}

it('failed calls are failures in metrics, objectives, sums, log and traces; what clients did wrong is none', async (t) => {
  const server = spawn(PYTHON, [PEER, 'serve'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => void server.kill('SIGKILL'));
  const [first] = (await once(server.stdout, 'data')) as [Buffer];
  const collector = await httpCollector(t);
  const gateway = await startTestGateway(t, {
    gateway: { accessLog: { file: 'access.log' }, tracing: { endpoint: collector.url, ratio: 0 } },
    services: {
      echo: { instances: [`http://127.0.0.1:${first.toString().trim()}`], protocol: 'grpc', retries: 0 },
      dead: { instances: [`http://127.0.0.1:${await deadPort()}`], protocol: 'grpc', retries: 0 },
    },
    routes: [
      { name: 'echo', match: { path: '/test.Echo/*' }, service: 'echo', auth: 'public' },
      { name: 'dead', match: { path: '/test.Dead/*' }, service: 'dead', auth: 'public' },
    ],
    objectives: { calls: { availability: '90%', latency: { under: '1m', for: '90%' } } },
  });

  const child = spawn(PYTHON, [PEER, 'call', `${gateway.port}`], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(
    JSON.stringify([
      ['unary', 'unary', 'x', 30],
      ['unavailable', 'unary', 'x', 30],
      ['breaks', 'stream', 'x', 30],
      ['fails', 'unary', 'x', 30],
      ['slow', 'cancel', '', 0],
      ['/test.Dead/Method', 'unary', 'x', 30],
      ['missing', 'unary', 'x', 30],
    ]),
  );
  await once(child, 'close');
  const web = await fetch(`${gateway.url}/test.Echo/unavailable`, {
    method: 'POST',
    headers: { 'content-type': 'application/grpc-web+proto' },
    body: MESSAGE,
  });
  assert.equal(web.status, 200);
  assert.match(await web.text(), /grpc-status:14/);

  const calls = (route: string, code: string): string => `gatehouse_grpc_calls_total{route="${route}",code="${code}"}`;
  const objective = (kind: string): string => `{objective="calls",kind="${kind}"}`;
  await assertSeries(gateway.url, [
    [calls('echo', 'OK'), 1],
    [calls('echo', 'UNAVAILABLE'), 2],
    [calls('echo', 'DATA_LOSS'), 1],
    [calls('echo', 'NOT_FOUND'), 1],
    [calls('echo', 'CANCELLED'), 1],
    [calls('echo', 'UNIMPLEMENTED'), 1],
    [calls('dead', 'UNAVAILABLE'), 1],
    ['gatehouse_requests_total{route="echo",status="200"}', 6],
    ['gatehouse_requests_broken_total{route="echo"}', 4],
    ['gatehouse_requests_broken_total{route="dead"}', 1],
    [`gatehouse_objective_requests_total${objective('availability')}`, 7],
    [`gatehouse_objective_bad_total${objective('availability')}`, 5],
    [`gatehouse_objective_requests_total${objective('latency')}`, 2],
    [`gatehouse_objective_bad_total${objective('latency')}`, 0],
    ['api_gateway_errors_total', 5],
  ]);
  assert.equal((await readSeries(gateway.url)).get(calls('echo', 'INTERNAL')), undefined);

  let lines: Line[] = [];
  await until(async () => {
    const text = await readFile(join(gateway.folder, 'access.log'), 'utf8');
    lines = wholeLines(text).map((line) => JSON.parse(line) as Line);
    return lines.filter(({ path }) => path.startsWith('/test.')).length === 8;
  }, 'the calls are in the log');
  assert.deepEqual(
    lines
      .filter(({ path }) => path.startsWith('/test.'))
      .map(({ path, grpc_status: code }) => [path, code])
      .sort(),
    [
      ['/test.Dead/Method', 14],
      ['/test.Echo/breaks', 15],
      ['/test.Echo/fails', 5],
      ['/test.Echo/missing', 12],
      ['/test.Echo/slow', 1],
      ['/test.Echo/unary', 0],
      ['/test.Echo/unavailable', 14],
      ['/test.Echo/unavailable', 14],
    ],
  );

  // Nothing is sampled: what is there was recorded because it failed.
  const servers = () => collector.spans.filter(({ kind }) => kind === 2);
  await until(() => servers().length === 5, 'five failed exchanges at the collector');
  assert.deepEqual(
    servers()
      .map(({ attributes, status }) => [attributes['rpc.response.status_code'], status])
      .sort(),
    [
      ['DATA_LOSS', 2],
      ['UNAVAILABLE', 2],
      ['UNAVAILABLE', 2],
      ['UNAVAILABLE', 2],
      ['UNIMPLEMENTED', 2],
    ],
  );
  const attempts = collector.spans.filter(
    ({ kind, attributes }) => kind === 3 && attributes['rpc.system.name'] === 'grpc',
  );
  assert.deepEqual(
    attempts.map(({ attributes }) => attributes['http.response.status_code']),
    [200, 200, 200, 200],
  );
});
