/** The static source: the `instances` of the configuration, reported once. */
import type { InstanceInput } from './instance.ts';
import { defineSource } from './source.ts';

export const staticSource = defineSource<readonly InstanceInput[]>({
  name: 'static',
  create: (instances) => ({
    start(onInstances) {
      onInstances(instances);
    },
    stop() {},
  }),
});
