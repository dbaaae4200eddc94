/** The cluster, loaded only where the configuration has the key `cluster`: a single gateway pays nothing for it. */
import type { Compiled } from '../config/compile.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import type { ClusterFeature } from './feature.ts';

export function lazyCluster(host: FeatureHost): Feature {
  let feature: ClusterFeature | undefined;
  const stop = async (): Promise<void> => {
    const running = feature;
    feature = undefined;
    await running?.stop();
  };
  return {
    async start(compiled: Compiled) {
      const { cluster } = compiled.plan.sections;
      if (cluster === null) return;
      const { ClusterFeature } = await import('./feature.ts');
      feature = new ClusterFeature(host, compiled, cluster);
      await feature.start();
    },
    restartKeys(next) {
      if (feature !== undefined) return feature.restartKeys(next);
      return next.plan.sections.cluster === null ? [] : ['cluster'];
    },
    dependencies: () => feature?.dependencies() ?? [],
    metrics: () => feature?.metrics() ?? [],
    status: () => feature?.status() ?? {},
    operations: () => feature?.operations(),
    // The member is the other process from now on: two of one name cannot be.
    replaced: stop,
    stop,
  };
}
