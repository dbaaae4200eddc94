/** The list of discovery sources, in the order in which they win when two name one address. */
import { dnsSource } from './dns.ts';
import { fileSource } from './file.ts';
import { kubernetesSource } from './kubernetes.ts';
import { registrySource } from './registry-source.ts';
import type { SourceDefinition } from './source.ts';
import { staticSource } from './static.ts';

export const SOURCES = {
  static: staticSource,
  file: fileSource,
  dns: dnsSource,
  kubernetes: kubernetesSource,
  registry: registrySource,
} as const satisfies Record<string, SourceDefinition<never>>;
