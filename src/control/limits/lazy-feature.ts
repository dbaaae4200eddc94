/**
 * Limits start with the first configuration that uses them: their database and web framework take 30 MB, which a
 * gateway without limits, quotas and bans does not need. Once started they stay until the end.
 */
import type { Compiled } from '../config/compile.ts';
import type { Feature } from '../feature.ts';
import { kept } from '../kept.ts';
import type { LimitsFeature, LimitsHost } from './feature.ts';

const POLICIES: ReadonlySet<string> = new Set(['rate-limit', 'quota']);

export function lazyLimits(host: LimitsHost): Feature {
  let feature: LimitsFeature | undefined;
  const begin = async (compiled: Compiled): Promise<void> => {
    const { LimitsFeature } = await import('./feature.ts');
    const made = new LimitsFeature(host);
    await made.start(compiled);
    feature = made;
  };
  const beginIfUsed = async (compiled: Compiled): Promise<void> => {
    if (feature === undefined && areUsed(compiled)) await begin(compiled);
  };
  return {
    start: beginIfUsed,
    // Used first by a reload: what counts must be there before anything is counted.
    prepare: beginIfUsed,
    restartKeys: (next) => feature?.restartKeys(next) ?? [],
    applied: (compiled) => feature?.applied(compiled),
    operations: () => feature?.operations(),
    dependencies: () => feature?.dependencies() ?? [],
    status: () => feature?.status() ?? {},
    metrics: () => feature?.metrics() ?? [],
    predecessorGone: () => feature?.predecessorGone(),
    async stop() {
      await feature?.stop();
    },
  };
}

function areUsed({ snapshot, plan }: Compiled): boolean {
  const { abuse, quotas } = plan.sections;
  if (abuse !== null || Object.keys(quotas).length > 0) return true;
  return areRouted(snapshot.routes);
}

const areRouted = kept((routes: Compiled['snapshot']['routes']): boolean =>
  routes.some(
    ({ action, policies }) =>
      policies.some((policy) => POLICIES.has(policy.name)) ||
      (action.kind === 'service' && action.targets.some(({ service }) => service.startsWith('builtin:limits'))),
  ),
);
