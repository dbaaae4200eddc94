/**
 * What the document says about running it: container, Kubernetes, dashboard, scripts. The files are read here, not run:
 * that images are built and manifests applied is not what a test on one machine can show.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { suiteScope } from '../../test/support/scope.ts';
import example from './example.ts';
import { localInstances } from './instances.ts';
import { startSystem } from './testing.ts';

const here = (path: string): URL => new URL(path, import.meta.url);
const text = (path: string): string => readFileSync(here(path), 'utf8');
const deploy = (path: string): string => text(`../../deploy/enhanced/${path}`);

/** The document's Deployment, as printed. */
const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'api-gateway-enhanced' },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: 'api-gateway-enhanced' } },
    template: {
      metadata: { labels: { app: 'api-gateway-enhanced' } },
      spec: {
        containers: [
          {
            name: 'gateway',
            image: 'api-gateway-enhanced:2.9.0',
            ports: [{ containerPort: 3000 }],
            env: [
              { name: 'NODE_ENV', value: 'production' },
              { name: 'CLUSTER_MODE', value: 'true' },
            ],
          },
        ],
      },
    },
  },
};

/** Everything of `part` is in `whole`; there may be more, also at the end of lists. */
function assertContains(whole: unknown, part: unknown, at = ''): void {
  if (typeof part !== 'object' || part === null) {
    assert.deepEqual(whole, part, at);
    return;
  }
  for (const [key, value] of Object.entries(part))
    assertContains((whole as Record<string, unknown> | undefined)?.[key], value, `${at}/${key}`);
}

describe('Kubernetes', () => {
  const scope = suiteScope();
  const objects = parseAllDocuments(deploy('kubernetes.yaml')).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as { kind: string; spec: Record<string, unknown> };
  });
  const deployment = objects.find(({ kind }) => kind === 'Deployment');

  test('the Deployment of the document is all there', () => assertContains(deployment, DEPLOYMENT));

  test('everything else goes to the same pods and the same port', () => {
    assert.deepEqual(
      objects.map(({ kind }) => kind),
      ['Deployment', 'Service', 'PodDisruptionBudget', 'HorizontalPodAutoscaler'],
    );
    const [, service, budget] = objects;
    assert.deepEqual(service?.spec['selector'], { app: 'api-gateway-enhanced' });
    assertContains(service?.spec, { ports: [{ targetPort: 3000 }] });
    assertContains(budget?.spec, { selector: { matchLabels: { app: 'api-gateway-enhanced' } } });
  });

  test('probes ask for endpoints that exist', async () => {
    const { call } = await startSystem(scope, { services: [], env: { CLUSTER_MODE: 'false' } });
    const paths = [...deploy('kubernetes.yaml').matchAll(/path: (\/[\w/]+), port/g)].map(([, path]) => path ?? '');
    assert.equal(paths.length, 3);
    for (const path of [...paths, '/metrics/prometheus']) assert.equal((await call(path)).status, 200, path);
  });
});

test('the image has what the configuration reads, and starts it on port 3000', () => {
  const dockerfile = deploy('Dockerfile');
  assert.match(dockerfile, /^EXPOSE 3000$/m);
  assert.match(dockerfile, /^CMD \["node", "bin\/gatehouse\.js", "start", "examples\/enhanced\/gatehouse\.ts"\]$/m);
  for (const [, sources = ''] of dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)) {
    for (const source of sources.split(' '))
      if (!source.includes('*')) assert.ok(existsSync(here(`../../${source}`)), source);
  }
  // Types only: the image has no sources.
  for (const file of ['gatehouse.ts', 'balancer.ts']) {
    assert.ok(dockerfile.includes(`examples/enhanced/${file}`));
    assert.doesNotMatch(text(file), /^import (?!type ).*'\.\.?\//m);
  }
});

describe('the dashboard', () => {
  const scope = suiteScope();
  const { dashboard } = JSON.parse(deploy('grafana-dashboard.json')) as {
    dashboard: { title: string; panels: { title: string; type: string; targets: { expr: string }[] }[] };
  };

  test('has the panel of the document', () => {
    assert.equal(dashboard.title, 'API Gateway Metrics');
    assertContains(dashboard.panels[0], {
      title: 'Request Rate',
      type: 'graph',
      targets: [{ expr: 'rate(api_gateway_requests_total[5m])' }],
    });
  });

  test('asks for metrics that the gateway has', async () => {
    const { call } = await startSystem(scope, { services: [], env: { CLUSTER_MODE: 'false' } });
    const families = new Set(
      [...(await call('/metrics/prometheus')).text.matchAll(/^# TYPE (\S+)/gm)].map(([, n]) => n),
    );
    const asked = dashboard.panels.flatMap(({ targets }) =>
      targets.flatMap(({ expr }) => expr.match(/\b(?:api_gateway|gatehouse|process)_\w+/g) ?? []),
    );
    assert.ok(asked.length >= dashboard.panels.length);
    for (const name of asked) assert.ok(families.has(name.replace(/_bucket$/, '')), name);
  });
});

describe('scripts', () => {
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };

  test('npm has dev, start and cluster, each with its variables', () => {
    const variables = (name: string): string => {
      const file = /--env-file=(\S+)/.exec(scripts[name] ?? '')?.[1] ?? '';
      return text(file);
    };
    assert.match(variables('dev'), /^NODE_ENV=development$/m);
    assert.match(variables('start'), /^NODE_ENV=production$/m);
    assert.match(variables('cluster'), /^CLUSTER_MODE=true$/m);
  });

  test('start-gateway.ps1 has the switches of the document and runs scripts that exist', () => {
    const script = text('start-gateway.ps1');
    const [, parameters = ''] = /^param\(\n([\s\S]*?)^\)/m.exec(script) ?? [];
    assert.deepEqual(
      [...parameters.matchAll(/\$(\w+)/g)].map(([, name]) => name),
      ['Development', 'Production', 'Cluster', 'Port', 'Config', 'Install'],
    );
    const [, names = ''] = /^\$script = (.*)$/m.exec(script) ?? [];
    for (const [, name = ''] of names.matchAll(/'(\w+)'/g)) assert.ok(name in scripts, name);
  });
});

describe('the launcher', () => {
  test('starts files that exist, for every instance of the configuration but the one that is down', () => {
    const { services } = JSON.parse(text('config/gateway-config.json')) as {
      services: Record<string, { instances: { url: string; healthy: boolean }[] }>;
    };
    const configured = Object.values(services).flatMap(({ instances }) => instances);
    assert.deepEqual(
      localInstances().map(({ name, isStarted }) => [`http://${name}:3000`, isStarted]),
      configured.map(({ url, healthy }) => [url, healthy]),
    );
    for (const { file } of example.services) assert.ok(existsSync(here(file)), file);
    assert.equal(new Set(example.services.map(({ port }) => port)).size, configured.length - 1);
    for (const file of [example.configuration, example.setUp]) assert.ok(existsSync(here(file)), file);
  });
});
