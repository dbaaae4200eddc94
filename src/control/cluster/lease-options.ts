/** `cluster.election`: where the lease lies that makes a node the queen, when not in the store of the cluster. */
import * as z from 'zod';
import { storeUrl } from '../../base/store-urls.ts';
import type { SectionContext } from '../config/section.ts';
import { kubernetesAccessOptions } from '../discovery/kubernetes-access-options.ts';
import type { KubernetesLeaseSettings } from './lease-kubernetes.ts';

const natsUrl = () => storeUrl(/^(nats|tls):\/\/\S+$/, 'must be nats://HOST:PORT or tls://HOST:PORT');
const KUBERNETES_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

const nats = z.strictObject({
  url: z
    .union([natsUrl(), z.array(natsUrl()).min(1).max(20)])
    .describe('Servers of one NATS cluster with JetStream, `nats://USER:PASSWORD@HOST:4222` or `tls://`.'),
  replicas: z
    .union([z.literal(1), z.literal(3), z.literal(5)])
    .prefault(1)
    .describe('Servers that keep a copy of the bucket, when it is made.'),
});

const kubernetes = z.strictObject({
  lease: z
    .string()
    .regex(KUBERNETES_NAME, 'must be a Kubernetes name')
    .optional()
    .describe('Name of the Lease. Default: `gatehouse-` and the name of the cluster.'),
  namespace: z
    .string()
    .regex(KUBERNETES_NAME, 'must be a Kubernetes namespace')
    .optional()
    .describe('Namespace of the Lease. Default: the one that the gateway runs in.'),
  ...kubernetesAccessOptions,
});

export const electionOptions = z
  .strictObject({
    nats: nats.optional().describe('A key of NATS JetStream KV (nats-server 2.9 or newer).'),
    kubernetes: kubernetes.optional().describe('A Lease of Kubernetes (coordination.k8s.io/v1).'),
  })
  .check(({ value, issues }) => {
    if ((value.nats === undefined) !== (value.kubernetes === undefined)) return;
    const params = { expected: 'nats or kubernetes, and not both' };
    issues.push({ code: 'custom', path: [], input: value, message: 'needs one place', params });
  });

/** In the plan the URLs are ids of secrets. */
export type LeasePlan =
  | { readonly kind: 'nats'; readonly urls: readonly string[]; readonly replicas: number }
  | ({ readonly kind: 'kubernetes' } & KubernetesLeaseSettings);

export function leasePlan(
  name: string,
  options: z.output<typeof electionOptions> | undefined,
  context: SectionContext,
): LeasePlan | null {
  if (options?.nats !== undefined) {
    const { url, replicas } = options.nats;
    const urls = [url].flat().map((text, i) => context.secret(`cluster.election.nats.${i}`, text));
    return { kind: 'nats', urls, replicas };
  }
  if (options?.kubernetes === undefined) return null;
  const { lease, namespace, apiServer, tokenFile, caFile } = options.kubernetes;
  return {
    kind: 'kubernetes',
    lease: lease ?? `gatehouse-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`.slice(0, 63).replace(/-$/, ''),
    namespace: namespace ?? null,
    apiServer: apiServer?.replace(/\/+$/, '') ?? null,
    tokenFile: tokenFile === undefined ? null : context.resolve(tokenFile),
    caFile: caFile === undefined ? null : context.resolve(caFile),
  };
}
