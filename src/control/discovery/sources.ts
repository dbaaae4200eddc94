/** The list of discovery sources, in the order in which they win when two name one address. */
import { dnsSource } from './dns.ts';
import type { FileSettings } from './file.ts';
import type { KubernetesSettings } from './kubernetes.ts';
import { registrySource } from './registry-source.ts';
import { lazySource, type SourceDefinition } from './source.ts';
import { staticSource } from './static.ts';

export const SOURCES = {
  static: staticSource,
  file: lazySource<FileSettings>('file', async () => (await import('./file.ts')).fileSource),
  dns: dnsSource,
  kubernetes: lazySource<KubernetesSettings>(
    'kubernetes',
    async () => (await import('./kubernetes.ts')).kubernetesSource,
  ),
  registry: registrySource,
} as const satisfies Record<string, SourceDefinition<never>>;
