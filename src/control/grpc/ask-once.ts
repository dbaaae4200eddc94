/** What services offer by reflection, asked once: for a document of a gateway that does not run. */
import type { Secrets, Snapshot } from '../../data/contract/snapshot.ts';
import type { ReflectionSettings, TranscodeApi } from '../../data/contract/transcode.ts';
import { healthTargets } from '../health/targets.ts';
import { offeredBy } from './offered.ts';

export interface AskedOnce {
  /** By topic. */
  readonly apis: ReadonlyMap<string, TranscodeApi>;
  readonly problems: readonly string[];
}

export async function askOnce(snapshot: Snapshot, secrets: Secrets): Promise<AskedOnce> {
  const wanted = new Map<string, ReflectionSettings>();
  for (const { transcode } of snapshot.routes)
    if (transcode?.reflection != null) wanted.set(transcode.reflection.topic, transcode.reflection);
  const apis = new Map<string, TranscodeApi>();
  const problems: string[] = [];
  if (wanted.size === 0) return { apis, problems };
  const targets = healthTargets(snapshot, secrets, new Map());
  await Promise.all(
    [...wanted].map(async ([topic, settings]) => {
      const { service } = settings;
      const found = await offeredBy(
        settings,
        targets.filter((target) => target.service === service),
      );
      if ('api' in found) apis.set(topic, found.api);
      else problems.push(`${service}: it does not say what it offers (reflection): ${found.problem}`);
    }),
  );
  return { apis, problems };
}
