/** The registry source: what has registered for the service (registry/registry.ts), reported at each change. */
import type { RegistrationRules } from './registry/leases.ts';
import { defineSource } from './source.ts';

export const registrySource = defineSource<RegistrationRules>({
  name: 'registry',
  create: (_rules, { registry, service }) => {
    let unsubscribe = (): void => {};
    return {
      start(onInstances, onProblem) {
        if (registry === null) {
          onProblem('there is no registry: the configuration has no section `registry`');
          return;
        }
        unsubscribe = registry.subscribe(service, onInstances);
      },
      stop: () => unsubscribe(),
    };
  },
});
