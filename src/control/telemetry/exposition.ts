/**
 * The two text formats that Prometheus reads: its own (0.0.4) and OpenMetrics 1.0, which names counters without
 * `_total` in their description, takes exemplars, and ends with a mark.
 */
import type { ExtraMetric, HistogramMetric } from '../../base/extra-metric.ts';
import { CORE_METRICS, type CoreMetric } from './catalogue.ts';

export type Format = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** A sampled trace that fell into a bucket. */
export interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  readonly wallMs: number;
}

export type Labels = Readonly<Record<string, string>>;

export class Exposition {
  readonly format: Format;
  readonly #parts: string[] = [];

  constructor(format: Format) {
    this.format = format;
  }

  /** A metric of the core, described by the catalogue. */
  core(name: CoreMetric): void {
    const { type, help } = CORE_METRICS[name];
    this.family(name, type, help);
  }

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    if (this.format === 'prometheus') {
      this.#parts.push(`# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`);
      return;
    }
    const isCounter = type === 'counter' && name.endsWith('_total');
    const family = isCounter ? name.slice(0, -'_total'.length) : name;
    // A counter of another name would not be one to OpenMetrics.
    const told = type === 'counter' && !isCounter ? 'unknown' : type;
    this.#parts.push(`# TYPE ${family} ${told}\n# HELP ${family} ${escapeLabel(help)}\n`);
  }

  sample(name: string, labels: Labels, value: number, exemplar?: Exemplar): void {
    const trace =
      exemplar === undefined || this.format === 'prometheus'
        ? ''
        : ` # {trace_id="${exemplar.traceId}"} ${exemplar.value} ${exemplar.wallMs / 1_000}`;
    this.#parts.push(`${name}${labelText(labels)} ${value}${trace}\n`);
  }

  /** `counts`: one for each of `bounds` and one above them all, not cumulative. */
  histogram(
    name: string,
    labels: Labels,
    bounds: readonly number[],
    counts: readonly number[],
    sum: number,
    exemplarOf?: (bucket: number) => Exemplar | undefined,
  ): void {
    let below = 0;
    for (let i = 0; i <= bounds.length; i++) {
      below += counts[i] ?? 0;
      const le = i < bounds.length ? String(bounds[i]) : '+Inf';
      this.sample(`${name}_bucket`, { ...labels, le }, below, exemplarOf?.(i));
    }
    this.sample(`${name}_sum`, labels, sum);
    this.sample(`${name}_count`, labels, below);
  }

  extra(metrics: readonly (ExtraMetric | HistogramMetric)[]): void {
    for (const metric of metrics) {
      this.family(metric.name, metric.type, metric.help);
      if (metric.type === 'histogram')
        for (const { labels, bounds, counts, sum } of metric.samples)
          this.histogram(metric.name, labels, bounds, counts, sum);
      else for (const { labels, value } of metric.samples) this.sample(metric.name, labels, value);
    }
  }

  toString(): string {
    return this.#parts.join('') + (this.format === 'openmetrics' ? '# EOF\n' : '');
  }
}

function labelText(labels: Labels): string {
  let text = '';
  for (const key in labels) text += `${text === '' ? '' : ','}${key}="${escapeLabel(labels[key]!)}"`;
  return text === '' ? '' : `{${text}}`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`));
}

function escapeHelp(text: string): string {
  return text.replace(/[\\\n]/g, (found) => (found === '\n' ? '\\n' : '\\\\'));
}
