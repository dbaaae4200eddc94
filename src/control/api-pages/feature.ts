/** API pages cost nothing until a configuration has the key `openapi`: their code is loaded then. */
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { TranscodeApi } from '../../data/contract/transcode.ts';
import type { BuiltConfig } from '../config/build-order.ts';
import type { Compiled } from '../config/compile.ts';
import type { ConfigDocument } from '../config/schema/document.ts';
import type { Feature, OperatorHost } from '../feature.ts';
import { kept } from '../kept.ts';
import type { ApiPages } from './app.ts';
import { instanceUrls } from './instance-urls.ts';
import type { ServiceDocuments } from './sources.ts';

/** Read once for each configuration, by whoever asks first. */
const documentOf = kept(({ json }: BuiltConfig) => JSON.parse(json) as ConfigDocument);

export function apiPagesFeature(
  host: Pick<OperatorHost, 'log' | 'configuration' | 'serveBuiltin' | 'workers'>,
): Feature {
  let pages: ApiPages | undefined;
  let documents: ServiceDocuments | undefined;
  let close: (() => void) | undefined;
  const load = async ({ plan }: Compiled): Promise<void> => {
    if (plan.sections.openapi === null || pages !== undefined) return;
    const [app, sources, http] = await Promise.all([
      import('./app.ts'),
      import('./sources.ts'),
      import('../auth/http.ts'),
    ]);
    const outside = new http.OutsideServices();
    close = () => outside.close();
    documents = new sources.ServiceDocuments(outside.ask, (service) =>
      instanceUrls(host.configuration.snapshot, service),
    );
    pages = new app.ApiPages({
      log: host.log,
      documents,
      current: () => ({
        snapshot: host.configuration.snapshot,
        plan: host.configuration.compiled.plan,
        document: documentOf(host.configuration.config),
        offered: (topic) => host.workers.bus.latest(topic) as TranscodeApi | undefined,
      }),
    });
    await host.serveBuiltin('builtin:api-pages', pages.fetch);
  };
  return {
    start: load,
    prepare: load,
    metrics(): readonly ExtraMetric[] {
      if (pages === undefined) return [];
      return [
        {
          name: 'gatehouse_openapi_problems',
          help: 'What does not fit into the API document that was made last',
          type: 'gauge',
          samples: [{ labels: {}, value: pages.problems?.length ?? 0 }],
        },
        {
          name: 'gatehouse_openapi_fetch_failures_total',
          help: 'API documents of services that could not be fetched',
          type: 'counter',
          samples: [{ labels: {}, value: documents?.failures ?? 0 }],
        },
      ];
    },
    status() {
      const { openapi } = host.configuration.compiled.plan.sections;
      if (pages === undefined || openapi === null) return {};
      const { path, docs, redoc } = openapi;
      return { sections: { openapi: { path, docs, redoc, problems: pages.problems ?? [] } } };
    },
    async stop() {
      close?.();
    },
  };
}
