/**
 * The chart as Helm renders it: every object is one that Kubernetes knows (types without an unknown key, values by the
 * schemas of its API), what one object names is there in another, and the configuration in it runs. No cluster was at
 * hand, so nothing here shows that a pod starts.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { electionOptions, leasePlan } from '../../src/control/cluster/lease-options.ts';
import { helm } from '../../tools/helm.ts';
import { startTestGateway } from '../support/gateway.ts';
import { freePort } from '../support/ports.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const CHART = join(CHECKOUT, 'deploy/helm/gatehouse');
const FOLDER = mkdtempSync(join(tmpdir(), 'gh-chart-'));
after(() => rmSync(FOLDER, { recursive: true, force: true }));

// biome-ignore lint/suspicious/noExplicitAny: manifests are looked into freely
type Manifest = any;

/** Where `kubernetes-models` has the type of each kind. Custom resources have none there. */
const MODULES: Readonly<Record<string, string>> = {
  v1: 'v1',
  'apps/v1': 'apps/v1',
  'policy/v1': 'policy/v1',
  'autoscaling/v2': 'autoscaling/v2',
  'networking.k8s.io/v1': 'networking.k8s.io/v1',
  'rbac.authorization.k8s.io/v1': 'rbac.authorization.k8s.io/v1',
};

const EVERYTHING = {
  restartOnChange: true,
  imagePullSecrets: [{ name: 'registry' }],
  secrets: ['gatehouse', 'more'],
  env: [{ name: 'GATEHOUSE_ZONE', valueFrom: { fieldRef: { fieldPath: "metadata.labels['zone']" } } }],
  tlsSecret: 'gatehouse-tls',
  service: {
    type: 'LoadBalancer',
    annotations: { 'example.com/internal': 'true' },
    externalTrafficPolicy: 'Local',
    loadBalancerClass: 'example.com/balancer',
    ports: [
      { name: 'https', port: 443, target: 8443 },
      { name: 'http', port: 80, target: 8080 },
    ],
  },
  serviceAccount: { annotations: { 'example.com/role': 'gateway' } },
  discovery: { namespaces: ['', 'shop'] },
  networkPolicy: {
    from: [{ ipBlock: { cidr: '192.0.2.0/24' } }],
    egress: [{ to: [{ namespaceSelector: {} }], ports: [{ port: 8080 }] }],
  },
  monitoring: {
    podMonitor: { enabled: true, labels: { release: 'prometheus' } },
    rules: { enabled: true, labels: { release: 'prometheus' } },
    dashboards: { enabled: true },
  },
  podAnnotations: { 'example.com/owner': 'platform' },
  podLabels: { team: 'platform' },
  nodeSelector: { 'kubernetes.io/arch': 'amd64' },
  tolerations: [{ key: 'edge', operator: 'Exists', effect: 'NoSchedule' }],
  priorityClassName: 'high',
};

let files = 0;
function template(values: object): { objects: Manifest[]; problem: string } {
  const file = join(FOLDER, `values-${files++}.yaml`);
  writeFileSync(file, stringify(values));
  const { status, stdout, stderr } = spawnSync(
    helm(),
    ['template', 'edge', CHART, '--namespace', 'gateways', '--values', file],
    {
      encoding: 'utf8',
      env: { ...process.env, HELM_CACHE_HOME: FOLDER, HELM_CONFIG_HOME: FOLDER, HELM_DATA_HOME: FOLDER },
    },
  );
  if (status !== 0) return { objects: [], problem: stderr };
  const objects = parseAllDocuments(stdout).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
  return { objects: objects.filter((each) => each !== null), problem: '' };
}

function rendered(values: object): Manifest[] {
  const { objects, problem } = template(values);
  assert.equal(problem, '');
  return objects;
}

const find = (objects: Manifest[], kind: string): Manifest => objects.find((each) => each.kind === kind);
const native = (objects: Manifest[]): Manifest[] => objects.filter(({ apiVersion }) => apiVersion in MODULES);

/** Excess keys and wrong types, by the compiler: an object literal may have no key that its type does not have. */
function assertTyped(objects: Manifest[]): void {
  const folder = join(CHECKOUT, '.cache');
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, 'chart-'));
  try {
    const lines = native(objects).map(
      (each, i) =>
        `import type { I${each.kind} as T${i} } from 'kubernetes-models/${MODULES[each.apiVersion]}';\n` +
        `export const o${i}: T${i} = ${JSON.stringify(each)};`,
    );
    writeFileSync(join(work, 'objects.ts'), `${lines.join('\n')}\n`);
    const compilerOptions = {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      module: 'preserve',
      target: 'esnext',
      types: [],
    };
    writeFileSync(join(work, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['objects.ts'] }));
    const tsc = join(CHECKOUT, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', work], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function assertValid(objects: Manifest[]): Promise<void> {
  for (const each of native(objects)) {
    const models = await import(`kubernetes-models/${MODULES[each.apiVersion]}`);
    new models[each.kind](each).validate();
  }
}

describe('the chart', { timeout: 240_000 }, () => {
  it('passes helm lint', () => {
    const { status, stdout } = spawnSync(helm(), ['lint', '--strict', CHART], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  });

  for (const [name, values] of Object.entries({ defaults: {}, everything: EVERYTHING })) {
    it(`makes objects that Kubernetes knows, of ${name}`, async () => {
      const objects = rendered(values);
      assert.ok(native(objects).length >= 6);
      assertTyped(objects);
      await assertValid(objects);
      const kinds = objects.filter(({ apiVersion }) => !(apiVersion in MODULES)).map(({ kind }) => kind);
      assert.deepEqual(kinds.sort(), name === 'defaults' ? [] : ['PodMonitor', 'PrometheusRule']);
    });
  }

  it('would be caught with a key that Kubernetes does not know', () => {
    const objects = rendered({});
    find(objects, 'Deployment').spec.template.spec.topologySpread = [];
    assert.throws(() => assertTyped(objects), /topologySpread/);
  });

  it('has probes, budget, autoscaling on requests, zones, network policy and a careful security context', () => {
    const objects = rendered({});
    const { spec } = find(objects, 'Deployment');
    const pod = spec.template.spec;
    const [container] = pod.containers;
    assert.equal(spec.replicas, undefined, 'the autoscaler says how many');
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      assert.equal(container[probe].httpGet.port, 'operations');
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.equal(pod.securityContext.seccompProfile.type, 'RuntimeDefault');
    assert.equal(pod.automountServiceAccountToken, false);
    const { selector } = spec;
    assert.deepEqual(
      pod.topologySpreadConstraints.map((each: Manifest) => [each.topologyKey, each.labelSelector]),
      [
        ['topology.kubernetes.io/zone', selector],
        ['kubernetes.io/hostname', selector],
      ],
    );
    for (const [label, value] of Object.entries(selector.matchLabels))
      assert.equal(spec.template.metadata.labels[label], value);
    assert.deepEqual(find(objects, 'PodDisruptionBudget').spec.selector, selector);
    assert.deepEqual(find(objects, 'NetworkPolicy').spec.podSelector, selector);
    assert.deepEqual(find(objects, 'Service').spec.selector, selector.matchLabels);
    const scaler = find(objects, 'HorizontalPodAutoscaler').spec;
    assert.deepEqual(scaler.scaleTargetRef.name, find(objects, 'Deployment').metadata.name);
    assert.deepEqual(scaler.metrics[0].pods, {
      metric: { name: 'gatehouse_requests_per_second' },
      target: { type: 'AverageValue', averageValue: '2000' },
    });
    const written = new Set(
      container.volumeMounts.filter((each: Manifest) => each.readOnly !== true).map((e: Manifest) => e.mountPath),
    );
    assert.deepEqual([...written], ['/data', '/tmp']);
  });

  it('mounts and names only what there is', () => {
    for (const values of [{}, EVERYTHING]) {
      const objects = rendered(values);
      const pod = find(objects, 'Deployment').spec.template.spec;
      const [container] = pod.containers;
      const volumes = new Set(pod.volumes.map(({ name }: Manifest) => name));
      for (const { name } of container.volumeMounts) assert.ok(volumes.has(name), name);
      const ports = new Map(container.ports.map((port: Manifest) => [port.name, port.containerPort]));
      for (const { targetPort } of find(objects, 'Service').spec.ports) assert.ok(ports.has(targetPort), targetPort);
      const [open, operations] = find(objects, 'NetworkPolicy').spec.ingress;
      for (const { port } of [...open.ports, ...operations.ports]) assert.ok([...ports.values()].includes(port));
      const account = find(objects, 'ServiceAccount').metadata.name;
      assert.equal(pod.serviceAccountName, account);
      for (const binding of objects.filter(({ kind }) => kind === 'RoleBinding')) {
        assert.deepEqual(binding.subjects, [{ kind: 'ServiceAccount', name: account, namespace: 'gateways' }]);
        assert.ok(objects.some((each) => each.kind === 'Role' && each.metadata.name === binding.roleRef.name));
      }
      const map = pod.volumes.find(({ name }: Manifest) => name === 'config').configMap.name;
      assert.equal(find(objects, 'ConfigMap').metadata.name, map);
    }
    const roles = rendered(EVERYTHING).filter(({ kind }) => kind === 'Role');
    assert.deepEqual(
      roles.map(({ metadata }) => metadata.namespace),
      ['gateways', 'shop'],
    );
  });

  it('lets pods elect by a Lease where the configuration chooses that, and only that Lease', () => {
    const config = (kubernetes: object) => ({
      config: { cluster: { name: 'Prod-EU_1', store: '${DATABASE_URL}', election: { kubernetes } } },
    });
    for (const [kubernetes, lease, namespace] of [
      [{}, 'gatehouse-prod-eu-1', 'gateways'],
      [{ lease: 'my-lease', namespace: 'control' }, 'my-lease', 'control'],
    ] as const) {
      const values = config(kubernetes);
      const objects = rendered(values);
      const role = find(objects, 'Role');
      assert.equal(role.metadata.namespace, namespace);
      assert.deepEqual(role.rules, [
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: [lease], verbs: ['get', 'update'] },
      ]);
      const binding = find(objects, 'RoleBinding');
      assert.deepEqual([binding.roleRef.name, binding.metadata.namespace], [role.metadata.name, namespace]);
      const account = find(objects, 'ServiceAccount').metadata.name;
      assert.deepEqual(binding.subjects, [{ kind: 'ServiceAccount', name: account, namespace: 'gateways' }]);
      assert.equal(find(objects, 'Deployment').spec.template.spec.automountServiceAccountToken, true);
      assertTyped(objects);
      const plan = leasePlan(values.config.cluster.name, electionOptions.parse({ kubernetes }), undefined as never);
      assert.equal(plan?.kind === 'kubernetes' ? plan.lease : '', lease, 'the name that the gateway asks for');
    }
    const elsewhere = rendered({ config: { cluster: { name: 'prod', store: '${DATABASE_URL}' } } });
    assert.equal(find(elsewhere, 'Role'), undefined);
    assert.equal(find(elsewhere, 'Deployment').spec.template.spec.automountServiceAccountToken, false);
  });

  it('rolls new pods out for a new configuration only where that is asked for', () => {
    const checksum = (values: object): unknown =>
      find(rendered(values), 'Deployment').spec.template.metadata.annotations['checksum/config'];
    assert.equal(checksum({}), undefined);
    const one = checksum({ restartOnChange: true });
    assert.match(String(one), /^[0-9a-f]{64}$/);
    assert.notEqual(checksum({ restartOnChange: true, config: { gateway: { workers: 3 } } }), one);
  });

  it('carries the alert rules, as Prometheus takes them, and the dashboards', () => {
    const objects = rendered(EVERYTHING);
    const file = join(FOLDER, 'rules.yaml');
    writeFileSync(file, stringify(find(objects, 'PrometheusRule').spec));
    execFileSync('promtool', ['check', 'rules', file]);
    const dashboards = objects.find(({ metadata }) => metadata.name === 'edge-gatehouse-dashboards').data;
    assert.equal(JSON.parse(dashboards['overview.json']).uid, 'gatehouse-overview');
    assert.ok(Object.keys(dashboards).length >= 7);
  });

  it('has a configuration that runs, with probes and metrics where the pod says that they are', async (t) => {
    const objects = rendered({});
    const document = parse(find(objects, 'ConfigMap').data['gatehouse.yaml']);
    const [container] = find(objects, 'Deployment').spec.template.spec.containers;
    assert.equal(container.ports.at(-1).containerPort, document.gateway.operations.port);
    assert.equal(container.ports[0].containerPort, document.gateway.port);
    const { host: _, port: __, dataDir: ___, shutdownDelay: ____, ...rest } = document.gateway;
    const port = await freePort();
    await startTestGateway(t, {
      ...document,
      gateway: { ...rest, accessLog: 'off', operations: { host: '127.0.0.1', port } },
    });
    for (const path of [container.livenessProbe.httpGet.path, container.readinessProbe.httpGet.path, '/metrics'])
      assert.equal((await fetch(`http://127.0.0.1:${port}${path}`)).status, 200, path);
  });
});

describe('values that are wrong are refused by name', { timeout: 240_000 }, () => {
  const refused: readonly [string, object, RegExp][] = [
    ['an unknown value', { replica: 2 }, /additional properties 'replica' not allowed/],
    ['a wrong type', { workers: 'two' }, /at '\/workers': got string, want integer/],
    [
      'an unknown key of the configuration',
      { config: { gateway: { prot: 1 } } },
      /at '\/config\/gateway': additional properties 'prot'/,
    ],
    ['a wrong choice', { zoneSpread: { whenUnsatisfiable: 'Never' } }, /at '\/zoneSpread\/whenUnsatisfiable'/],
    ['a port without a number', { service: { ports: [{ name: 'http', port: 80 }] } }, /missing property 'target'/],
    [
      'a port name that Kubernetes refuses',
      { service: { ports: [{ name: 'HTTP', port: 80, target: 80 }] } },
      /does not match pattern/,
    ],
  ];
  for (const [name, values, problem] of refused) it(name, () => assert.match(template(values).problem, problem));

  it('a configuration with variables is taken', () => {
    const config = {
      stores: { sql: '${DATABASE_URL}' },
      services: { notes: { instances: [{ url: 'http://notes:4001' }], timeouts: { connect: '${CONNECT:-1s}' } } },
    };
    const text = find(rendered({ config }), 'ConfigMap').data['gatehouse.yaml'];
    assert.equal(parse(text).stores.sql, '${DATABASE_URL}');
  });
});
