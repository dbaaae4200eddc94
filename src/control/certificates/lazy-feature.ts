/**
 * Says when certificates end. Getting them costs nothing until a listener says `tls: auto`: that code is loaded then.
 */
import { messageOf } from '../../base/errors.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature } from '../feature.ts';
import { endTroubles } from './end-troubles.ts';
import { type CertificateEnd, endReport, endsMetric } from './ends.ts';
import type { CertificatesFeature, CertificatesHost } from './feature.ts';

export function lazyCertificates(host: CertificatesHost): Feature {
  let feature: CertificatesFeature | undefined;
  let named: readonly CertificateEnd[] = [];
  const begin = async (compiled: Compiled): Promise<void> => {
    const { acme } = compiled.plan.sections;
    if (acme === null || feature !== undefined) return;
    const { CertificatesFeature } = await import('./feature.ts');
    feature = new CertificatesFeature(host, acme);
    await feature.start(compiled);
  };
  let beginning: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await beginning;
    const running = feature;
    feature = undefined;
    await running?.stop();
  };
  return {
    start: (compiled) => begin(compiled),
    applied(compiled) {
      named = compiled.plan.certificates;
      if (feature !== undefined) feature.applied(compiled);
      else if (beginning === undefined && compiled.plan.sections.acme !== null) {
        // Turned on by a reload; not waited for, because publishing waits for this call.
        beginning = begin(compiled)
          .then(() => feature?.applied(host.compiled))
          .catch((error: unknown) =>
            host.log.error('certificates could not be looked after', { problem: messageOf(error) }),
          );
      }
    },
    operations: () => feature?.operations(),
    metrics() {
      const ends = [...named, ...(feature?.ends() ?? [])];
      return [...(ends.length === 0 ? [] : [endsMetric(ends)]), ...(feature?.metrics() ?? [])];
    },
    status() {
      const nowMs = Date.now();
      const reports = [...named.map((end) => endReport(end, nowMs)), ...(feature?.reports() ?? [])];
      if (reports.length === 0) return {};
      return { sections: { certificates: reports }, troubles: reports.flatMap((report) => endTroubles(report, nowMs)) };
    },
    // Its successor renews them.
    replaced: stop,
    stop,
  };
}
