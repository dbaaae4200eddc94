/**
 * The deployment against the document: resources, spread over zones, and the same routes, plans and limits as the
 * example that the other tests run. Manifests are read here; that a cluster takes them is not what a test on one
 * machine can show.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { compile } from '../../src/control/config/compile.ts';
import { loadConfig } from '../../src/control/config/load.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../../test/support/test-certificate.ts';

const folder = new URL('../../deploy/storyverse/', import.meta.url);
const text = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
// biome-ignore lint/suspicious/noExplicitAny: manifests are looked into freely
type Manifest = any;

const manifests: Manifest[] = (parse(text('kustomization.yaml')).resources as string[]).flatMap((file) =>
  parseAllDocuments(text(file)).map((document) => {
    assert.deepEqual(document.errors, [], file);
    return document.toJS();
  }),
);
const find = (kind: string, name: string): Manifest =>
  manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);

/** From the document. */
const SERVICES = [
  ['api-gateway-service', 'api-gateway', '0.5', '1Gi', '1', '2Gi'],
  ['authentication-service', 'authentication', '0.5', '1Gi', '1', '2Gi'],
  ['rate-limiting-service', 'rate-limiting', '0.3', '512Mi', '0.5', '1Gi'],
] as const;

/** From the document: monitoring metrics of the three. */
const MONITORING = [
  ...['request rate', 'latency', 'error rate', 'endpoint popularity'],
  ...['login rate', 'token issuance rate', 'failed attempts'],
  ...['throttled requests', 'quota utilization', 'abuse detections'],
];

/** What is a service there and part of the gateway's process here. */
const BUILT_IN: Readonly<Record<string, string>> = { authentication: 'identity', 'rate-limiting': 'limits' };

describe('the deployment', () => {
  for (const [name, app, requestCpu, requestMemory, limitCpu, limitMemory] of SERVICES) {
    it(`gives ${name} the document's image, resources and spread over zones`, () => {
      const { spec } = find('Deployment', name);
      assert.deepEqual(spec.selector, { matchLabels: { app } });
      assert.equal(spec.template.metadata.labels.app, app);
      const [container] = spec.template.spec.containers;
      assert.deepEqual([container.name, container.image], [app, `storyverse/${app}:latest`]);
      const { requests, limits } = container.resources;
      assert.deepEqual(
        [String(requests.cpu), requests.memory, String(limits.cpu), limits.memory],
        [requestCpu, requestMemory, limitCpu, limitMemory],
      );
      assert.deepEqual(spec.template.spec.topologySpreadConstraints, [
        {
          maxSkew: 1,
          topologyKey: 'topology.kubernetes.io/zone',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: { app } },
        },
      ]);
      assert.ok(spec.replicas >= 2);
      assert.deepEqual(find('PodDisruptionBudget', name).spec.selector, { matchLabels: { app } });
    });
  }

  it('scales each of the three by processor use', () => {
    for (const [name] of SERVICES) {
      const { spec } = find('HorizontalPodAutoscaler', name);
      assert.deepEqual(spec.scaleTargetRef, { apiVersion: 'apps/v1', kind: 'Deployment', name });
      assert.ok(spec.minReplicas >= find('Deployment', name).spec.replicas - 1 && spec.maxReplicas > spec.minReplicas);
    }
  });

  it('spreads the counters over zones as well, and lets only gateways and the rate limiting service at them', () => {
    const { spec } = find('StatefulSet', 'rate-limiting-redis');
    const [spread] = spec.template.spec.topologySpreadConstraints;
    assert.equal(spread.topologyKey, 'topology.kubernetes.io/zone');
    assert.deepEqual(spread.labelSelector, spec.selector);
    const policy = find('NetworkPolicy', 'gateways-to-rate-limiting-redis').spec;
    assert.deepEqual(policy.podSelector, spec.selector);
    assert.deepEqual(
      policy.ingress[0].from.map((peer: Manifest) => peer.podSelector.matchLabels.app),
      ['api-gateway', 'rate-limiting', 'rate-limiting-join'],
    );
    const names = text('kustomization.yaml').match(/rate-limiting-redis-\d\.rate-limiting-redis:6379/g) ?? [];
    assert.equal(names.length, 3);
    assert.equal(find('Service', 'rate-limiting-redis').metadata.name, spec.serviceName);
  });

  it('lets services hear from gateways only, since they believe what those say of callers', () => {
    const { spec } = find('NetworkPolicy', 'gateways-to-services');
    assert.deepEqual(spec.ingress[0].from, [{ podSelector: { matchLabels: { app: 'api-gateway' } } }]);
    assert.deepEqual(find('NetworkPolicy', 'nobody-unless-said').spec, { podSelector: {}, policyTypes: ['Ingress'] });
    for (const name of ['stories', 'library', 'generator']) {
      const workload = find('Deployment', name) ?? find('StatefulSet', name);
      assert.equal(workload.spec.template.metadata.labels.tier, 'service');
    }
  });

  it('mounts and names only what there is', () => {
    for (const manifest of manifests) {
      const pod = manifest.spec?.template?.spec;
      if (pod === undefined) continue;
      const claims = (manifest.spec.volumeClaimTemplates ?? []).map((claim: Manifest) => claim.metadata.name);
      const volumes = new Set([...(pod.volumes ?? []).map((volume: Manifest) => volume.name), ...claims]);
      for (const container of pod.containers) {
        const ports = new Set((container.ports ?? []).map((port: Manifest) => port.name));
        for (const mount of container.volumeMounts ?? []) assert.ok(volumes.has(mount.name), mount.name);
        for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
          const port = container[probe]?.httpGet?.port ?? container[probe]?.tcpSocket?.port;
          if (port !== undefined) assert.ok(ports.has(port), `${manifest.metadata.name} ${port}`);
        }
        const [, , file] = [...(container.args ?? [])].reverse();
        if (container.image === 'storyverse/services:latest')
          assert.ok(existsSync(new URL(`../../${container.args[1]}`, folder)), String(file ?? container.args[1]));
      }
    }
    const dockerfile = text('Dockerfile');
    for (const [, sources = ''] of dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm))
      for (const source of sources.split(' '))
        if (!source.includes('*')) assert.ok(existsSync(new URL(`../../${source}`, folder)), source);
    for (const [, image = ''] of readdirSync(folder).flatMap((file) => [
      ...text(file).matchAll(/image: storyverse\/([a-z-]+):latest/g),
    ]))
      assert.match(dockerfile, new RegExp(`^FROM \\S+ AS ${image}$`, 'm'));
  });

  it('has a configuration that is right as it stands, once its certificate is there', async (t) => {
    const own = mkdtempSync(join(tmpdir(), 'gh-storyverse-'));
    t.after(() => rmSync(own, { recursive: true, force: true }));
    writeFileSync(join(own, 'tls.crt'), TEST_CERTIFICATE);
    writeFileSync(join(own, 'tls.key'), TEST_KEY);
    const file = join(own, 'gatehouse.yaml');
    writeFileSync(file, text('gatehouse.yaml').replaceAll('/etc/storyverse-tls/', `${own}/`));
    const env = {
      PUBLIC_URL: 'https://api.storyverse.example',
      DATABASE_URL: 'postgres://storyverse:secret@db.example/storyverse',
      REDIS_URL: text('kustomization.yaml').match(/REDIS_URL='([^']+)'/)?.[1] ?? '',
      GATEHOUSE_MASTER_KEY: 'a master key for this test only, 32 bytes or more',
      SMTP_URL: 'smtps://mail.example',
    };
    const loaded = await loadConfig({ file, env, cwd: own });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    const compiled = compile(loaded.config);
    assert.ok(compiled.ok, JSON.stringify(compiled));
    assert.deepEqual(
      compiled.snapshot.listeners.map(({ port }) => port),
      [8_443, 8_000],
    );
  });

  it('has a panel for each monitoring metric of the document', () => {
    const { panels } = JSON.parse(text('grafana-dashboard.json')) as { panels: Manifest[] };
    const titles = panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).map(({ title }) => title.toLowerCase());
    for (const metric of MONITORING) assert.ok(titles.includes(metric), metric);
  });

  it('has the same routes, plans, quotas and limits as the example', () => {
    const example = parse(readFileSync(new URL('gatehouse.yaml', import.meta.url), 'utf8'));
    const deployed = parse(text('gatehouse.yaml'));
    // There accounts and usage are services; here they are part of the process.
    for (const route of deployed.routes) {
      const builtin = BUILT_IN[route.service];
      if (builtin === undefined) continue;
      delete route.service;
      route.builtin = builtin;
    }
    assert.deepEqual(deployed.routes, example.routes);
    for (const key of ['plans', 'quotas', 'abuse']) assert.deepEqual(deployed[key], example[key]);
    for (const key of ['headers', 'rateLimit', 'cors', 'securityHeaders'])
      assert.deepEqual(deployed.gateway[key], example.gateway[key]);
    for (const key of ['plans', 'defaultPlan', 'roles', 'tokens'])
      assert.deepEqual(deployed.identity[key], example.identity[key]);
    assert.equal(deployed.identity.registration.verifyEmail, 'required');
  });
});
