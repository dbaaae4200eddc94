/**
 * The text formats: that of Prometheus (0.0.4), and OpenMetrics 1.0, which names counters without `_total` in their
 * description, takes exemplars, and ends with a mark.
 */
import type { Exemplar, Exposition, HistogramSample } from './exposition.ts';
import { escapeLabel, type LabelSet } from './label-set.ts';

/** Characters that are turned into bytes at a time: more would keep other work waiting. */
const BLOCK = 64 * 1_024;

export class TextExposition implements Exposition {
  readonly #isOpenMetrics: boolean;
  readonly #blocks: Buffer[] = [];
  #name = '';
  #text = '';
  /** Of the bounds that came last, which are nearly always those that come next. */
  #bounds: readonly number[] = [];
  #boundTexts: readonly string[] = [];

  constructor(format: 'prometheus' | 'openmetrics') {
    this.#isOpenMetrics = format === 'openmetrics';
  }

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    this.#name = name;
    if (!this.#isOpenMetrics) {
      this.#text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
      return;
    }
    const isCounter = type === 'counter' && name.endsWith('_total');
    const family = isCounter ? name.slice(0, -'_total'.length) : name;
    // A counter of another name would not be one to OpenMetrics.
    const written = type === 'counter' && !isCounter ? 'unknown' : type;
    this.#text += `# TYPE ${family} ${written}\n# HELP ${family} ${escapeLabel(help)}\n`;
  }

  sample({ text }: LabelSet, value: number): void {
    this.#text += text === '' ? `${this.#name} ${value}\n` : `${this.#name}{${text}} ${value}\n`;
    if (this.#text.length > BLOCK) this.#cut();
  }

  histogram({ text }: LabelSet, { bounds, counts, sum, exemplars }: HistogramSample): void {
    const name = this.#name;
    const own = text === '' ? '' : `{${text}}`;
    const head = `${name}_bucket{${text}${text === '' ? '' : ','}le="`;
    const ends = this.#endsOf(bounds);
    let below = 0;
    let lines = '';
    for (let i = 0; i <= bounds.length; i++) {
      below += counts[i] ?? 0;
      const exemplar = this.#isOpenMetrics ? exemplars?.[i] : undefined;
      lines += `${head}${ends[i]}${below}${exemplar === undefined ? '\n' : exemplarText(exemplar)}`;
    }
    this.#text += `${lines}${name}_sum${own} ${sum}\n${name}_count${own} ${below}\n`;
    if (this.#text.length > BLOCK) this.#cut();
  }

  end(): readonly Buffer[] {
    if (this.#isOpenMetrics) this.#text += '# EOF\n';
    this.#cut();
    return this.#blocks;
  }

  #endsOf(bounds: readonly number[]): readonly string[] {
    if (bounds !== this.#bounds) {
      this.#bounds = bounds;
      this.#boundTexts = [...bounds.map(String), '+Inf'].map((bound) => `${bound}"} `);
    }
    return this.#boundTexts;
  }

  #cut(): void {
    this.#blocks.push(Buffer.from(this.#text));
    this.#text = '';
  }
}

function exemplarText({ traceId, value, wallMs }: Exemplar): string {
  return ` # {trace_id="${traceId}"} ${value} ${wallMs / 1_000}\n`;
}

function escapeHelp(text: string): string {
  return text.replace(/[\\\n]/g, (found) => (found === '\n' ? '\\n' : '\\\\'));
}
