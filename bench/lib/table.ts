/** Results as Markdown tables, which also read well in a terminal. */
import type { IdleResult } from '../jobs/idle.ts';
import { median, pairedRatios, quantile } from './statistics.ts';
import type { CaseResult, PeerResult, Run } from './suite.ts';
import type { Verdict } from './targets.ts';

/** Lines of an aligned Markdown table; the first column to the left, the others to the right. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const pad = (cell: string, at: number) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!));
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(' | ')} |`;
  const rule = widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(header), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Three significant digits for small numbers, thousands separated for large ones. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function caseTable(result: CaseResult): string {
  const reference = result.results.find((one) => one.peer === result.reference);
  const header = [
    'proxy',
    'CPU us/req',
    'quiet',
    `x ${result.reference}`,
    'middle half',
    'req/s',
    'p50 ms',
    'p99 ms',
    'peak RSS MB',
  ];
  const table = markdownTable(
    header,
    result.results.map((one) => caseRow(one, reference)),
  );
  const problems = result.results.filter((one) => one.problem !== undefined);
  const notes = problems.map(
    (one) => `${one.peer}: ${completed(one).length} of ${one.runs.length} rounds counted (${one.problem})`,
  );
  return [
    `### ${result.name}`,
    '',
    `${result.connections} connections${result.streams === undefined ? '' : ` x ${result.streams} streams`}, upstream ${result.upstream}, load ${result.generator}; ${noise(result)}`,
    '',
    table,
    ...notes.map((note) => `\n${note}`),
  ].join('\n');
}

function caseRow(one: PeerResult, reference: PeerResult | undefined): string[] {
  const runs = completed(one);
  const ratios = reference === undefined ? [] : pairedRatios(cpu(one), cpu(reference));
  const middle = ratios.length < 2 ? '-' : `${figure(quantile(ratios, 0.25))}..${figure(quantile(ratios, 0.75))}`;
  return [
    one.peer,
    figure(median(runs.map((run) => run.cpuUs))),
    figure(Math.min(...runs.map((run) => run.cpuUs))),
    figure(median(ratios)),
    middle,
    figure(median(runs.map((run) => run.perSecond))),
    figure(median(runs.map((run) => run.p50Ms))),
    figure(median(runs.map((run) => run.p99Ms))),
    figure(one.peakBytes / 1e6),
  ];
}

function completed(one: PeerResult): Run[] {
  return one.runs.filter((run) => run !== undefined);
}

function cpu(one: PeerResult): (number | undefined)[] {
  return one.runs.map((run) => run?.cpuUs);
}

/** How disturbed the measurements were. */
function noise(result: CaseResult): string {
  const runs = result.results.flatMap(completed);
  if (runs.length === 0) return 'nothing was timed';
  const foreign = runs.map((run) => run.foreignCores);
  const steal = runs.map((run) => run.stealCores);
  const rounds = Math.max(...result.results.map((one) => one.runs.length));
  const spread = (values: number[]) => `${median(values).toFixed(2)} (worst ${Math.max(...values).toFixed(2)})`;
  return `${rounds} round${rounds === 1 ? '' : 's'}; cores used by others ${spread(foreign)}, stolen ${spread(steal)}`;
}

export function idleTable(results: readonly IdleResult[]): string {
  const header = [
    'proxy',
    'rest RSS MB',
    'rest PSS MB',
    'held',
    'opened KB each',
    'after a request KB',
    '20 s later KB',
    'req/s meanwhile',
    'errors',
  ];
  const rows = results.map((one) => [
    one.peer,
    figure(one.restResidentBytes / 1e6),
    figure(one.restBytes / 1e6),
    `${one.held.toLocaleString('en-US')} of ${one.asked.toLocaleString('en-US')}`,
    figure(one.openedBytes / 1024),
    figure(one.afterRequestBytes / 1024),
    figure(one.laterBytes / 1024),
    figure(one.perSecond),
    String(one.errors),
  ]);
  const what = results[0]?.protocol === 'h2' ? 'HTTP/2' : 'keep-alive';
  return [`### Idle ${what} connections`, '', markdownTable(header, rows)].join('\n');
}

export function verdictTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map((one) => [
    one.target,
    `${figure(one.got)}${one.unit}`,
    `${figure(one.atMost)}${one.unit}`,
    one.met ? 'met' : 'MISSED',
  ]);
  return ['### Targets', '', markdownTable(['target', 'got', 'at most', ''], rows)].join('\n');
}
