/** The control side of users' policies: a watchdog that starts with the first worker that loads one. */
import type { Feature, FeatureHost } from '../feature.ts';
import { PolicyWatchdog } from './watchdog.ts';

export function policiesFeature(
  host: Pick<FeatureHost, 'bus' | 'log' | 'compiled' | 'workerThreads' | 'onWorkersChange' | 'endWorker'>,
): Feature {
  const watchdog = new PolicyWatchdog({
    bus: host.bus,
    log: host.log,
    loopTimeoutMs: () => host.compiled.plan.gateway.policies.loopTimeoutMs,
    nowMs: () => performance.now(),
    terminate: (thread) => host.endWorker(thread),
  });
  host.onWorkersChange(() => watchdog.forgetAllBut(new Set(host.workerThreads())));
  return {
    metrics: () => watchdog.metrics(),
    async stop() {
      watchdog.stop();
    },
  };
}
