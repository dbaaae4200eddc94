/**
 * `values.schema.json` of the Helm chart: the chart's own values, written here, and under `config` the configuration,
 * checked by the schema that editors use. Draft 7, because Helm 3 before 3.18 knows no later one; what is used here and
 * there means the same in both.
 */
import { editorSchema, type JsonSchema } from '../src/control/config/json-schema.ts';

type Schema = JsonSchema & { readonly $ref?: string };

const text = (description: string, more: Schema = {}): Schema => ({ type: 'string', description, ...more });
const flag = (description: string): Schema => ({ type: 'boolean', description });
const whole = (description: string, minimum: number, maximum: number): Schema => ({
  type: 'integer',
  description,
  minimum,
  maximum,
});
const texts = (description: string): Schema => ({
  type: 'object',
  description,
  additionalProperties: { type: 'string' },
});
const object = (
  description: string,
  properties: Readonly<Record<string, Schema>>,
  required: string[] = [],
): Schema => ({
  type: 'object',
  description,
  properties,
  additionalProperties: false,
  ...(required.length === 0 ? {} : { required }),
});
const list = (description: string, items: Schema): Schema => ({ type: 'array', description, items });

/** What Kubernetes takes there; the chart passes it on as it is. */
const kubernetes = (description: string): Schema => ({ type: 'object', description });
const port = (description: string): Schema => whole(description, 1, 65_535);
/**
 * A name of a port. Kubernetes has RFC 6335 §5.1, which allows a digit first; Helm's regular expressions cannot say
 * that.
 */
const PORT_NAME = '^[a-z]([a-z0-9-]{0,13}[a-z0-9])?$';
const labels = texts('Further labels.');

const VALUES: Readonly<Record<string, Schema>> = {
  image: object('Where the image is.', {
    repository: text('Its name, with the registry.', { minLength: 1 }),
    tag: text('Its tag. Default: the version of the application of the chart.'),
    pullPolicy: { type: 'string', enum: ['Always', 'IfNotPresent', 'Never'], description: 'When it is pulled.' },
  }),
  imagePullSecrets: list('Secrets for the registry.', object('', { name: text('Name of the Secret.') }, ['name'])),
  nameOverride: text('Instead of the name of the chart.', { maxLength: 63 }),
  fullnameOverride: text('Instead of the name of the release and the chart.', { maxLength: 63 }),
  replicas: whole('Pods while autoscaling is off.', 0, 1_000),
  config: { description: 'The configuration of the gateway, as in gatehouse.yaml.', $ref: '#/$defs/Configuration' },
  restartOnChange: flag('New pods when `config` changes, instead of a reload of the running ones.'),
  secrets: list('Secrets whose keys become environment variables.', text('Name of the Secret.', { minLength: 1 })),
  env: list('Further variables, as in a container.', {
    ...kubernetes('A variable.'),
    properties: { name: text('Its name.', { minLength: 1 }) },
    required: ['name'],
  }),
  tlsSecret: text('Secret of type kubernetes.io/tls that is mounted at /etc/gatehouse-tls.'),
  workers: whole('Threads that serve.', 1, 256),
  resources: kubernetes('Requests and limits of the container.'),
  service: object('How the pods are reached.', {
    type: { type: 'string', enum: ['ClusterIP', 'NodePort', 'LoadBalancer'], description: 'Type of the Service.' },
    annotations: texts('Annotations of the Service.'),
    externalTrafficPolicy: { type: 'string', enum: ['', 'Cluster', 'Local'], description: 'Of a load balancer.' },
    loadBalancerClass: text('Which load balancer.'),
    ports: {
      ...list(
        'Ports of the Service.',
        object(
          '',
          {
            name: text('Name of the port.', { pattern: PORT_NAME, maxLength: 15 }),
            port: port('Port of the Service.'),
            target: port('Port of a listener of `config`.'),
          },
          ['name', 'port', 'target'],
        ),
      ),
      minItems: 1,
    },
  }),
  operationsPort: port('Port of `config.gateway.operations`: probes and metrics.'),
  serviceAccount: object('The account of the pods.', {
    create: flag('Whether the chart makes it.'),
    name: text('Its name.'),
    annotations: texts('Its annotations.'),
  }),
  discovery: object('Rights for `discovery.kubernetes`.', {
    namespaces: list('Namespaces whose EndpointSlices are read; `""` is that of the release.', text('A namespace.')),
  }),
  autoscaling: object('How many pods there are.', {
    enabled: flag('Whether the number changes by itself.'),
    minReplicas: whole('Fewest pods.', 1, 1_000),
    maxReplicas: whole('Most pods.', 1, 1_000),
    requestsPerSecond: whole('Requests a second that a pod should have; 0: not by requests.', 0, 1_000_000),
    metric: text('Name of that metric.', { minLength: 1 }),
    cpu: whole('Processor use of a pod in percent of its request; 0: not by processor use.', 0, 1_000),
  }),
  disruptionBudget: object('How many pods may be away at once when nodes are drained.', {
    enabled: flag('Whether there is such a budget.'),
    maxUnavailable: { type: ['integer', 'string'], pattern: '^[0-9]+%$', description: 'A number or a percentage.' },
  }),
  zoneSpread: object('Pods over zones.', {
    whenUnsatisfiable: {
      type: 'string',
      enum: ['ScheduleAnyway', 'DoNotSchedule'],
      description: 'What happens to a pod that would make zones uneven.',
    },
  }),
  networkPolicy: object('Who reaches the pods, and whom they reach.', {
    enabled: flag('Whether there is a policy.'),
    from: list('Who reaches the ports of the Service; empty: everybody.', kubernetes('A peer.')),
    operationsFrom: list('Who reaches health, status and metrics.', kubernetes('A peer.')),
    egress: list('Where the gateway may go; empty: everywhere.', kubernetes('A rule.')),
  }),
  monitoring: object('For the Prometheus operator and Grafana.', {
    podMonitor: object('What to scrape.', {
      enabled: flag('Whether there is a PodMonitor.'),
      interval: text('Time between scrapes.', { pattern: '^[0-9]+(ms|s|m)$' }),
      labels,
    }),
    rules: object('Alert rules.', { enabled: flag('Whether there is a PrometheusRule.'), labels }),
    dashboards: object('Dashboards.', { enabled: flag('Whether there is a ConfigMap of dashboards.'), labels }),
  }),
  podAnnotations: texts('Further annotations of the pods.'),
  podLabels: texts('Further labels of the pods.'),
  nodeSelector: texts('Labels that a node must have.'),
  tolerations: list('Taints that are tolerated.', kubernetes('A toleration.')),
  priorityClassName: text('Priority of the pods.'),
  terminationGracePeriodSeconds: whole('Time to end: `shutdownDelay`, `shutdownTimeout` and a little more.', 1, 86_400),
  global: { type: 'object', description: 'Values of a chart that this one is part of; not used.' },
};

export function chartSchema(): object {
  const {
    $schema: _,
    $defs,
    ...configuration
  } = editorSchema() as JsonSchema & {
    $schema: string;
    $defs?: Readonly<Record<string, JsonSchema>>;
  };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart gatehouse',
    type: 'object',
    properties: VALUES,
    additionalProperties: false,
    $defs: forHelm({ ...$defs, Configuration: configuration }),
  };
}

/** Helm's regular expressions (RE2) cannot look ahead: such a pattern is left to `gatehouse check`. */
function forHelm<T>(schema: T): T {
  if (Array.isArray(schema)) return schema.map(forHelm) as T;
  if (typeof schema !== 'object' || schema === null) return schema;
  const kept = Object.entries(schema).filter(
    ([key, value]) => !(key === 'pattern' && /\(\?<?[=!]/.test(String(value))),
  );
  return Object.fromEntries(kept.map(([key, value]) => [key, forHelm(value)])) as T;
}
