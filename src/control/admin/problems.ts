/** What is wrong at the moment and why, worst first, from what status knows. Pure. For the console and scripts. */
import type { Trouble } from '../feature-status.ts';
import type { GatewayStatus } from '../ops/sources.ts';
import type { Override } from '../overrides.ts';

/** `fromFeatures`: what they say is wrong. */
export function troubles(
  status: GatewayStatus,
  overrides: readonly Override[],
  fromFeatures: readonly Trouble[],
): Trouble[] {
  const found: Trouble[] = [...fromFeatures];
  const add = (severity: Trouble['severity'], subject: string, message: string): void => {
    found.push({ severity, subject, message });
  };
  const { configuration, workers } = status;
  if (configuration.lastReload?.ok === false)
    add(
      'error',
      'configuration',
      `the last reload was refused: ${configuration.lastReload.problems[0] ?? 'no reason given'}`,
    );
  if (configuration.differsFromSource)
    add(
      'warning',
      'configuration',
      `${configuration.source} holds another one: its next change, or a reload, replaces the live one`,
    );
  if (configuration.needsRestart.length > 0)
    add('warning', 'configuration', `takes effect at the next start only: ${configuration.needsRestart.join(', ')}`);
  const missing = workers.filter((worker) => !worker.listening);
  if (missing.length > 0) add('error', 'workers', `${missing.length} of ${workers.length} do not listen`);
  for (const { name, available, required, detail } of status.dependencies)
    if (!available)
      add(required ? 'error' : 'warning', name, `is away${detail?.['problem'] ? `: ${detail['problem']}` : ''}`);
  for (const service of status.services) {
    const subject = `service ${service.name}`;
    if (service.instances.length === 0) add('error', subject, 'has no instances');
    else if (service.status === 'unavailable' && service.breaker?.state !== 'open')
      add('error', subject, 'no instance takes traffic');
    if (service.breaker !== null && service.breaker.state !== 'closed')
      add(service.breaker.state === 'open' ? 'error' : 'warning', subject, `its breaker is ${service.breaker.state}`);
    for (const instance of service.instances) {
      const why = whyUnusable(instance);
      if (why !== null) add('warning', `${subject}, ${instance.url}`, why);
    }
    for (const { source, problem } of service.discovery)
      if (problem !== null) add('warning', subject, `discovery by ${source} keeps the last instances: ${problem}`);
  }
  for (const { kind, target, value, owner, reason, until } of overrides)
    add('note', target, `${words(kind, value)} by ${owner}${until === null ? '' : ` until ${until}`}: ${reason}`);
  const order = ['error', 'warning', 'note'];
  return found.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

/** Draining by hand is no trouble: it is listed as the override that it is. */
function whyUnusable(instance: GatewayStatus['services'][number]['instances'][number]): string | null {
  if (!instance.healthy) return `is down: ${instance.healthCheck?.reason ?? 'by configuration'}`;
  if (instance.ejected) return 'is ejected after faults';
  if (instance.breaker !== null && instance.breaker.state !== 'closed')
    return `its breaker is ${instance.breaker.state}`;
  return null;
}

function words(kind: Override['kind'], value: Override['value']): string {
  switch (kind) {
    case 'drain':
      return 'drained';
    case 'added':
      return 'added';
    case 'removed':
      return 'taken out';
    case 'breaker':
      return 'breaker held open';
    case 'weight':
      return `weight ${value}`;
    case 'logLevel':
      return `log level ${value}`;
  }
}
