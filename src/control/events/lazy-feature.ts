/** Events cost nothing until a configuration has them: the feature's code is loaded then. */
import { messageOf } from '../../base/errors.ts';
import type { Feature } from '../feature.ts';
import type { EventsFeature, EventsHost } from './feature.ts';

export function lazyEvents(host: EventsHost): Feature {
  let feature: EventsFeature | undefined;
  let loading: Promise<EventsFeature> | undefined;
  const load = (): Promise<EventsFeature> => {
    loading ??= import('./feature.ts').then(({ EventsFeature }) => {
      feature = new EventsFeature(host);
      return feature;
    });
    return loading;
  };
  return {
    async start(compiled) {
      if (compiled.plan.sections.events !== null) await (await load()).start(compiled);
    },
    applied(compiled) {
      if (feature !== undefined) feature.applied(compiled);
      else if (compiled.plan.sections.events !== null) {
        load()
          .then((loaded) => loaded.applied(compiled))
          .catch((error: unknown) => host.log.error('events could not be started', { problem: messageOf(error) }));
      }
    },
    draining: () => feature?.draining(),
    dependencies: () => feature?.dependencies() ?? [],
    status: () => feature?.status() ?? {},
    operations: () => feature?.operations(),
    metrics: () => feature?.metrics() ?? [],
    async stop() {
      await loading;
      await feature?.stop();
    },
  };
}
