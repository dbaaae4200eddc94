/**
 * What policies need before they can be created and cannot get at once (compiled schemas, a model, a file): prepared
 * before a snapshot is applied, while the old one still serves.
 */
import { messageOf } from '../../base/errors.ts';
import type { PolicyDefinition, PolicyEnvironment } from '../contract/policy.ts';
import type { PolicySettings, RouteSettings, Snapshot } from '../contract/snapshot.ts';

/** Of routes that are not kept. Rejects, naming the route, when one cannot be prepared: the snapshot is refused. */
export async function preparePolicies(
  { routes }: Snapshot,
  definitions: ReadonlyMap<string, PolicyDefinition<never, unknown>>,
  environment: (route: RouteSettings) => PolicyEnvironment,
  kept: ReadonlyMap<RouteSettings, unknown>,
): Promise<ReadonlyMap<PolicySettings, unknown>> {
  const prepared = new Map<PolicySettings, unknown>();
  for (const route of routes) {
    if (kept.has(route)) continue;
    for (const policy of route.policies) {
      const prepare = definitions.get(policy.name)?.prepare;
      if (prepare === undefined) continue;
      try {
        prepared.set(policy, await prepare(policy.options as never, environment(route)));
      } catch (error) {
        throw new TypeError(`route "${route.id}", policy "${policy.name}": ${messageOf(error)}`);
      }
    }
  }
  return prepared;
}
