/**
 * How a pod reaches its API server: where it is, the bearer token and the authority that signed its certificate. Files
 * are read anew for each request, because a projected service-account token is replaced on disk about every hour.
 */
import { readFile } from 'node:fs/promises';
import type { KubernetesSettings } from './kubernetes.ts';
import { words } from './source.ts';

/** Where Kubernetes mounts what a pod may know of its API server. */
export const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface KubernetesAccess {
  /** Without a slash at its end. */
  readonly apiServer: string;
  readonly namespace: string;
  /** Null when there is no token file and none was named. */
  readonly token: string | null;
  readonly ca: string | null;
}

/** Rejects with a sentence when something that was named cannot be read, or when there is no API server. */
export async function readAccess(
  settings: Pick<KubernetesSettings, 'apiServer' | 'namespace' | 'tokenFile' | 'caFile'>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<KubernetesAccess> {
  const apiServer = settings.apiServer ?? inClusterServer(env);
  if (apiServer === undefined) {
    throw new Error('no API server: this is not a Kubernetes pod, and `apiServer` names none');
  }
  const [token, ca, namespace] = await Promise.all([
    readMounted(settings.tokenFile, 'token'),
    readMounted(settings.caFile, 'ca.crt'),
    settings.namespace ?? readMounted(null, 'namespace'),
  ]);
  return { apiServer, token, ca, namespace: namespace ?? 'default' };
}

function inClusterServer(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT_HTTPS'] ?? env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (host === undefined) return undefined;
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** A named file must be there; the usual one may be missing. */
async function readMounted(named: string | null, usual: string): Promise<string | null> {
  try {
    return (await readFile(named ?? `${SERVICE_ACCOUNT}/${usual}`, 'utf8')).trim();
  } catch (error) {
    if (named === null) return null;
    throw new Error(words(error));
  }
}
