/**
 * Limits start with the first configuration that uses them: their database and web framework take 30 MB, which a
 * gateway without limits, quotas and bans does not need. Once started they stay until the end.
 */
import { messageOf } from '../../base/errors.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature } from '../feature.ts';
import type { LimitsFeature, LimitsHost } from './feature.ts';

const POLICIES: ReadonlySet<string> = new Set(['rate-limit', 'quota']);

export function lazyLimits(host: LimitsHost): Feature {
  let feature: LimitsFeature | undefined;
  let starting: Promise<void> | undefined;
  const begin = async (compiled: Compiled): Promise<void> => {
    const { LimitsFeature } = await import('./feature.ts');
    const made = new LimitsFeature(host);
    await made.start(compiled);
    feature = made;
  };
  return {
    async start(compiled) {
      if (areUsed(compiled)) await begin(compiled);
    },
    applied(compiled) {
      if (feature !== undefined) {
        feature.applied(compiled);
      } else if (areUsed(compiled)) {
        starting ??= begin(compiled).catch((error: unknown) => {
          starting = undefined;
          host.log.error('limits could not be started', { reason: messageOf(error) });
        });
      }
    },
    dependencies: () => feature?.dependencies() ?? [],
    metrics: () => feature?.metrics() ?? [],
    async stop() {
      await starting;
      await feature?.stop();
    },
  };
}

function areUsed({ snapshot, plan }: Compiled): boolean {
  const { abuse, quotas } = plan.sections;
  if (abuse !== null || Object.keys(quotas).length > 0) return true;
  return snapshot.routes.some(
    ({ action, policies }) =>
      policies.some((policy) => POLICIES.has(policy.name)) ||
      (action.kind === 'service' && action.targets.some(({ service }) => service.startsWith('builtin:limits'))),
  );
}
