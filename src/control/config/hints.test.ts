import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from './load.ts';
import { formatProblem } from './problems.ts';

test('what people write first is answered with what to write', async () => {
  const service = { instances: ['http://127.0.0.1:4001'] };
  const route = (more: object) => ({
    services: { s: service },
    routes: [{ match: { path: '/a' }, service: 's', ...more }],
  });
  const rows: [document: object, wanted: RegExp][] = [
    [route({ auth: 'none' }), /^routes\[0\]\.auth: .*expected public where anybody may call\)$/],
    [route({ auth: false }), /^routes\[0\]\.auth: .*expected public where anybody may call\)$/],
    [{ ...route({}), issuers: ['https://id.example.com'] }, /^issuers: .*issuers: \{ corp: \{ issuer: https:/],
    [route({ match: '/a' }), /^routes\[0\]\.match: .*expected match: \{ path: \/a \}\)$/],
    [
      route({ match: undefined, path: '/a' }),
      /^routes\[0\]: unknown key "path" \(expected match: \{ path: \.\.\. \}\)/,
    ],
    [route({ match: undefined, method: 'GET' }), /^routes\[0\]: unknown key "method" \(expected match: \{ methods: /],
    [
      route({ websocket: true }),
      /^routes\[0\]: unknown key "websocket" \(expected upgrades: websocket, which .*did you mean "upgrades"\?$/,
    ],
    [route({ websockets: false }), /unknown key "websockets" \(expected upgrades: off, on the route\)/],
    [
      { ...route({}), services: { s: { ...service, ws: true } } },
      /^services\.s: unknown key "ws" \(expected upgrades: websocket, which routes to services have\)$/,
    ],
    [{ ...route({}), services: { s: { ...service, grpc: {} } } }, /"grpc" \(expected protocol: grpc\)/],
    [route({ slo: {} }), /"slo" \(expected objectives at the top/],
    [{ ...route({ auth: 'public' }), telemetry: {} }, /"telemetry" \(expected gateway: \{ tracing: \.\.\. \}/],
    [
      { ...route({ auth: 'public' }), gateway: { acme: {} } },
      /unknown key "acme" \(there is acme at the top of the document\)/,
    ],
    [route({ rewrite: { path: '/b?x=1' } }), /^routes\[0\]\.rewrite\.path: .*transform: \{ request: \{ query: /],
    [
      { ...route({}), services: { s: { ...service, loadBalancing: { algorithm: 'custom', path: './x.ts' } } } },
      /^services\.s\.loadBalancing: unknown key "path" \(expected file: \.\/my-balancer\.ts/,
    ],
  ];
  for (const [document, wanted] of rows) {
    const loaded = await loadConfig({ document: JSON.parse(JSON.stringify(document)) });
    const said = loaded.ok ? [] : loaded.problems.map(formatProblem);
    assert.equal(said.length, 1, said.join('\n'));
    assert.match(said[0]!, wanted);
  }
});
