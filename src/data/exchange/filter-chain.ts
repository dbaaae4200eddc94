/**
 * The filters of one body, one behind the other, between who brings it and who takes it. Bytes go down, `resume` goes
 * up.
 *
 *   source -> write, flush, end -> filter 1 -> Output -> filter 2 -> Output -> sink
 *   source <-------------- resume -------- resume ------------- resume <------ drained
 */
import type { Fault } from '../../base/errors.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';

/** Where the filtered body goes. */
export interface BodySink {
  /** False: enough, until `drained` is called on the chain. */
  onFiltered(bytes: Buffer, start: number, end: number): boolean;
  onFilteredFlush(): void;
  onFilteredEnd(trailers: FieldBlock | null): void;
  onFilteredWhole(bytes: Buffer): void;
  /** The chain takes bytes again, after `isFull`. */
  onFilterResume(): void;
  onFilterFault(fault: Fault): void;
}

export class FilterChain {
  /** The first filter has enough for now. */
  isFull = false;
  readonly #sink: BodySink;
  readonly #filters: BodyFilter[] = [];
  #isOver = false;

  constructor(sink: BodySink) {
    this.#sink = sink;
  }

  add(filter: BodyFilter): void {
    this.#filters.push(filter);
  }

  /** No filter is added any more. */
  attach(): void {
    for (const [i, filter] of this.#filters.entries()) filter.attach(new Output(this, i));
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (!this.#isOver && !this.#filters[0]!.write(bytes, start, end)) this.isFull = true;
  }

  flush(): void {
    if (!this.#isOver) this.#filters[0]!.flush();
  }

  end(trailers: FieldBlock | null): void {
    if (!this.#isOver) this.#filters[0]!.end(trailers);
  }

  /** The sink takes bytes again. */
  drained(): void {
    if (!this.#isOver) this.#filters.at(-1)!.resume();
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const filter of this.#filters) filter.abandon();
  }

  // --- what the outputs call ----------------------------------------------------------------------------------

  /** @internal The filter behind the output at `index`; undefined where that is the sink. */
  next(index: number): BodyFilter | undefined {
    return this.#filters[index + 1];
  }

  /** @internal */ get sink(): BodySink | null {
    return this.#isOver ? null : this.#sink;
  }

  /** @internal The filter at `index` takes bytes again. */
  resumed(index: number): void {
    if (index > 0) {
      this.#filters[index - 1]!.resume();
      return;
    }
    this.isFull = false;
    this.#sink.onFilterResume();
  }
}

/** What one filter writes to. Whatever it does after the end of the exchange has no effect. */
class Output implements BodyOutput {
  readonly #chain: FilterChain;
  readonly #index: number;
  #isEnded = false;

  constructor(chain: FilterChain, index: number) {
    this.#chain = chain;
    this.#index = index;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    const { sink } = this.#chain;
    if (sink === null || this.#isEnded || start === end) return true;
    const next = this.#chain.next(this.#index);
    return next === undefined ? sink.onFiltered(bytes, start, end) : next.write(bytes, start, end);
  }

  flush(): void {
    const { sink } = this.#chain;
    if (sink === null || this.#isEnded) return;
    const next = this.#chain.next(this.#index);
    if (next === undefined) sink.onFilteredFlush();
    else next.flush();
  }

  end(trailers: FieldBlock | null): void {
    const sink = this.#ended();
    if (sink === null) return;
    const next = this.#chain.next(this.#index);
    if (next === undefined) sink.onFilteredEnd(trailers);
    else next.end(trailers);
  }

  whole(bytes: Buffer): void {
    const next = this.#chain.next(this.#index);
    if (next === undefined) {
      this.#ended()?.onFilteredWhole(bytes);
      return;
    }
    this.write(bytes, 0, bytes.length);
    this.end(null);
  }

  resume(): void {
    if (this.#chain.sink !== null) this.#chain.resumed(this.#index);
  }

  fail(fault: Fault): void {
    this.#ended()?.onFilterFault(fault);
  }

  #ended(): BodySink | null {
    if (this.#isEnded) return null;
    this.#isEnded = true;
    return this.#chain.sink;
  }
}
