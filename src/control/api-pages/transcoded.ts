/**
 * Documents of routes with `transcode`, made of the definitions that traffic goes by: of files, or as the service has
 * said by reflection. What the user's own documents describe is left to them.
 */
import type { RouteSettings } from '../../data/contract/snapshot.ts';
import type { TranscodeApi } from '../../data/contract/transcode.ts';
import { openApiOf } from '../grpc/openapi.ts';
import type { ApiSource } from '../openapi-document.ts';
import type { FoundSources } from './sources.ts';

/** What a service offers, by the topic of its reflection; undefined while that is not known. */
export type OfferedApis = (topic: string) => TranscodeApi | undefined;

export function transcodedSources(
  routes: readonly RouteSettings[],
  offered: OfferedApis,
  others: readonly ApiSource[],
): FoundSources {
  const sources: ApiSource[] = [];
  const problems: string[] = [];
  for (const [index, route] of routes.entries()) {
    const { transcode, action, id } = route;
    if (transcode === undefined || action.kind !== 'service') continue;
    const service = action.targets[0]?.service ?? '';
    if (others.some((other) => (other.route === null ? other.service === service : other.route === index))) continue;
    const api = transcode.reflection === null ? transcode.api : offered(transcode.reflection.topic);
    // Paths as the service has them: the merger undoes what the route rewrites.
    const document = api == null ? null : openApiOf({ ...route, rewrite: null, transcode: { ...transcode, api } }, '1');
    const from = `route ${id}, transcode`;
    if (document === null) problems.push(`${from}: ${service} has not said what it offers (reflection)`);
    else sources.push({ service, from, document, paths: 'upstream', basePath: '', route: index });
  }
  return { sources, problems };
}
