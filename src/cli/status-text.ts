/**
 * What a running gateway says of itself, as `gatehouse status` prints it for people: the gateway in four lines, then
 * each service with its breaker, its instances with the reason why one gets no traffic, and its sources of instances.
 */
import type { ObjectiveReport } from '../control/objectives/tracker.ts';
import type { InstanceReport, ServiceReport } from '../control/ops/services.ts';
import type { GatewayStatus } from '../control/ops/sources.ts';

export function statusText(status: GatewayStatus, nowMs: number): string {
  const { configuration, traffic, workers } = status;
  const reload = configuration.lastReload;
  const refused =
    reload !== null && !reload.ok ? `, a reload was refused: ${reload.problems[0] ?? 'no reason given'}` : '';
  const urls = status.listeners.map(({ host, port, tls }) => `${tls ? 'https' : 'http'}://${bracketed(host)}:${port}`);
  const listening = workers.filter((worker) => worker.listening).length;
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  const open = `${traffic.activeConnections} connections, ${traffic.activeExchanges} requests, ${traffic.tunnels} tunnels open`;
  return [
    `${status.name} ${status.version}: ${status.status}, up ${span(status.uptimeSeconds * 1_000)}, pid ${status.pid}`,
    `configuration: version ${configuration.version}${madeBy(configuration.revision)}${refused}`,
    ...notices(configuration),
    `listening: ${urls.join(', ')}; ${listening} of ${workers.length} workers${restarts === 0 ? '' : `, ${restarts} restarts`}`,
    `traffic: ${traffic.requests} requests, ${percent(traffic.errorRatio)} errors, ${rounded(traffic.averageMs)} ms on average; ${open}`,
    ...objectiveLines(status.features['objectives']),
    ...status.services.flatMap((service) => ['', ...serviceLines(service, nowMs)]),
    '',
  ].join('\n');
}

/** Each objective with what is left of its budget, and an alert where one holds. */
function objectiveLines(objectives: unknown): string[] {
  if (!Array.isArray(objectives)) return [];
  return (objectives as readonly ObjectiveReport[]).map(
    ({ objective, kind, target, under, burnRates, budgetRemaining, alert }) => {
      const wanted = `${Number((target * 100).toFixed(3))} %${under === null ? '' : ` within ${under} ms`}`;
      const state = alert === null ? '' : `, ${alert}: the budget burns too fast`;
      return `objective ${objective}, ${kind} (${wanted}): ${percent(budgetRemaining)} of the budget left, burns ${rounded(burnRates['1h'])} times in the last hour${state}`;
    },
  );
}

function madeBy(revision: GatewayStatus['configuration']['revision']): string {
  return revision === null ? '' : `, revision ${revision.revision} by ${revision.author} (${revision.reason})`;
}

/** What a reader of the file would not expect. */
function notices({ needsRestart, differsFromSource, source }: GatewayStatus['configuration']): string[] {
  return [
    ...(differsFromSource ? [`  ${source} holds another one: its next change, or a reload, replaces this one`] : []),
    ...(needsRestart.length > 0 ? [`  takes effect at the next start only: ${needsRestart.join(', ')}`] : []),
  ];
}

function serviceLines(service: ServiceReport, nowMs: number): string[] {
  const usable = service.instances.filter((instance) => instance.usable).length;
  const parts = [
    service.status,
    `${usable} of ${service.instances.length} instances`,
    service.algorithm,
    `${service.inFlight} in flight`,
  ];
  if (service.waiting > 0) parts.push(`${service.waiting} waiting`);
  if (service.breaker !== null) parts.push(breakerWords(service.breaker));
  const events = Object.entries(service.counters).filter(([, count]) => count > 0);
  const lines = [`${service.name}: ${parts.join(', ')}`];
  if (events.length > 0)
    lines.push(`  so far: ${events.map(([name, count]) => `${count} ${spaced(name)}`).join(', ')}`);
  lines.push(...table(service.instances.map((instance) => instanceCells(instance, nowMs))));
  for (const { source, instances, problem } of service.discovery)
    lines.push(
      `  discovery ${source}: ${problem === null ? `${instances} instances` : `keeps ${instances} instances: ${problem}`}`,
    );
  return lines;
}

function breakerWords({ state, errors, requests, retryInMs }: NonNullable<ServiceReport['breaker']>): string {
  if (state === 'open')
    return `breaker open, ${retryInMs === 0 ? 'probes with the next request' : `probes in ${span(retryInMs)}`}`;
  return `breaker ${state} (${errors} errors of ${requests})`;
}

function instanceCells(instance: InstanceReport, nowMs: number): string[] {
  const { state, why } = stateOf(instance, nowMs);
  const weight = instance.weight === 1 ? '' : `weight ${instance.weight}`;
  const zone = instance.zone === null ? '' : `zone ${instance.zone}`;
  return [instance.url, state, `${instance.inFlight} in flight`, weight, zone, why];
}

/** The first of what keeps traffic from it, or that nothing does. */
function stateOf(instance: InstanceReport, nowMs: number): { state: string; why: string } {
  const { healthCheck: probe, breaker } = instance;
  if (instance.draining) return { state: 'draining', why: '' };
  if (!instance.healthy) {
    if (probe === null) return { state: 'down', why: 'by configuration' };
    const since = span(nowMs - Date.parse(probe.since));
    return {
      state: 'down',
      why: `${probe.reason ?? 'not yet well again'}, ${probe.consecutiveFailures} failures, for ${since}`,
    };
  }
  if (instance.ejected) return { state: 'ejected', why: `back in ${span(instance.ejectedForMs)}` };
  if (breaker !== null && breaker.state !== 'closed') return { state: 'held', why: breakerWords(breaker) };
  if (instance.weight === 0) return { state: 'standby', why: '' };
  if (probe === null || probe.checkedAt === null) return { state: 'up', why: '' };
  const answer = probe.lastStatus === null ? '' : `${probe.lastStatus} `;
  return { state: 'up', why: probe.reason ?? `probe ${answer}in ${rounded(probe.latencyMs ?? 0)} ms` };
}

/** Columns as wide as their widest cell; those that are empty everywhere are left out. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    `  ${row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .filter((_, column) => (widths[column] ?? 0) > 0)
      .join('  ')}`.trimEnd(),
  );
}

/** `1h 5m`, `12s`: the two largest units. */
function span(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

function percent(ratio: number): string {
  return `${rounded(ratio * 100)} %`;
}

function rounded(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** `budgetRefusals`: `budget refusals`. */
function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
