/** Control's side of the numbers that workers count: sums over all banks. */
import { CELLS } from './duration-cells.ts';
import { GRPC_STATUSES, type GrpcStatus } from './grpc-status.ts';
import {
  BROKEN,
  BYTES_IN,
  BYTES_OUT,
  bankLength,
  CALLS,
  CLASS_BASE,
  COUNTS,
  cellBase,
  FAULT_INDEX,
  GAUGES,
  HEADER,
  HTTP2,
  INSTANCE_FAULTS,
  INSTANCE_HTTP2,
  INSTANCE_SLOTS,
  type MetricsShape,
  NEITHER,
  NUMBER_INDEX,
  type ProcessNumber,
  ROUTE_BASE,
  ROUTE_SLOTS,
  STATUSES,
  SUM,
  shapeOf,
  WITHIN,
} from './metrics-layout.ts';

export interface StatusCounts {
  /** Keys are statuses (`404`) or classes (`4xx`). */
  readonly byStatus: ReadonlyMap<string, number>;
  readonly total: number;
  readonly sumSeconds: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly faults: number;
  /** Of all, those over HTTP/2. */
  readonly http2: number;
  /** Of a route: responses that failed though their head did not. */
  readonly broken: number;
  /** Of a route: gRPC calls that were neither good nor bad, with a head that says 200. */
  readonly neither: number;
  /** Of a route: gRPC calls, which are among the statuses too. */
  readonly calls: ReadonlyMap<GrpcStatus, number>;
  /** Of a route: good responses within its objective for latency. */
  readonly within: number;
}

/** Of several routes together. */
export interface TrafficSum {
  requests: number;
  /** Those answered with 500 or more, and those that failed after another head. */
  errors: number;
  seconds: number;
}

const STATUS_KEYS: readonly string[] = Array.from({ length: COUNTS }, (_, i) =>
  i < CLASS_BASE ? String(STATUSES[i]) : `${i - CLASS_BASE}xx`,
);
const NO_CALLS: StatusCounts['calls'] = new Map();
const IS_ERROR = STATUS_KEYS.map((key) => key.startsWith('5'));

export class MetricsReader {
  readonly #shape: MetricsShape;
  readonly #banks: Float64Array[];
  readonly #instanceBase: number;
  readonly #cells: number;
  readonly #instanceCells: number;

  constructor(buffer: SharedArrayBuffer) {
    this.#shape = shapeOf(buffer);
    const length = bankLength(this.#shape);
    this.#instanceBase = ROUTE_BASE + this.#shape.routes * ROUTE_SLOTS;
    this.#cells = cellBase(this.#shape);
    this.#instanceCells = this.#cells + this.#shape.routes * CELLS;
    this.#banks = Array.from(
      { length: this.#shape.workers },
      (_, worker) => new Float64Array(buffer, (HEADER + worker * length) * 8, length),
    );
  }

  number(name: ProcessNumber): number {
    return this.#sum(NUMBER_INDEX.get(name)!);
  }

  fault(reason: string): number {
    return this.#sum(FAULT_INDEX.get(reason)!);
  }

  route(slot: number): StatusCounts {
    return this.#read(ROUTE_BASE + slot * ROUTE_SLOTS, false);
  }

  instance(slot: number): StatusCounts {
    return this.#read(this.#instanceBase + slot * INSTANCE_SLOTS, true);
  }

  /** Adds the durations of a route to `cells`, of which there are `CELLS` (duration-cells.ts). */
  addRouteCells(slot: number, cells: Float64Array): void {
    this.#addCells(this.#cells + slot * CELLS, cells);
  }

  addInstanceCells(slot: number, cells: Float64Array): void {
    this.#addCells(this.#instanceCells + slot * CELLS, cells);
  }

  /** False: it was never asked, and has no durations either. */
  addRoute(slot: number, sum: TrafficSum): boolean {
    const base = ROUTE_BASE + slot * ROUTE_SLOTS;
    const before = sum.requests;
    for (const bank of this.#banks) {
      for (let i = 0; i < COUNTS; i++) {
        const count = bank[base + i]!;
        if (count === 0) continue;
        sum.requests += count;
        if (IS_ERROR[i] === true) sum.errors += count;
      }
      sum.errors += bank[base + BROKEN]!;
      sum.seconds += bank[base + SUM]!;
    }
    return sum.requests > before;
  }

  /** What a dead worker held it holds no more. */
  clearGauges(worker: number): void {
    const bank = this.#banks[worker];
    if (bank !== undefined) for (const name of GAUGES) bank[NUMBER_INDEX.get(name)!] = 0;
  }

  /** A slot that is handed to another route must not start with the numbers of the old one. */
  clearRoute(slot: number): void {
    this.#clear(ROUTE_BASE + slot * ROUTE_SLOTS, ROUTE_SLOTS, this.#cells + slot * CELLS);
  }

  clearInstance(slot: number): void {
    this.#clear(this.#instanceBase + slot * INSTANCE_SLOTS, INSTANCE_SLOTS, this.#instanceCells + slot * CELLS);
  }

  /** Touches cells only where something was counted: what was never used takes no memory. */
  #clear(base: number, length: number, cells: number): void {
    for (const bank of this.#banks) {
      if (!bank.subarray(base, base + length).some((count) => count !== 0)) continue;
      bank.fill(0, base, base + length);
      bank.fill(0, cells, cells + CELLS);
    }
  }

  #addCells(base: number, cells: Float64Array): void {
    for (const bank of this.#banks)
      for (let i = 0; i < CELLS; i++) {
        const count = bank[base + i]!;
        if (count !== 0) cells[i]! += count;
      }
  }

  #sum(index: number): number {
    let sum = 0;
    for (const bank of this.#banks) sum += bank[index] ?? 0;
    return sum;
  }

  #read(base: number, isInstance: boolean): StatusCounts {
    const byStatus = new Map<string, number>();
    let total = 0;
    for (let i = 0; i < COUNTS; i++) {
      const count = this.#sum(base + i);
      if (count === 0) continue;
      total += count;
      byStatus.set(STATUS_KEYS[i]!, count);
    }
    return {
      byStatus,
      total,
      sumSeconds: this.#sum(base + SUM),
      bytesIn: isInstance ? 0 : this.#sum(base + BYTES_IN),
      bytesOut: isInstance ? 0 : this.#sum(base + BYTES_OUT),
      faults: isInstance ? this.#sum(base + INSTANCE_FAULTS) : 0,
      http2: this.#sum(base + (isInstance ? INSTANCE_HTTP2 : HTTP2)),
      broken: isInstance ? 0 : this.#sum(base + BROKEN),
      within: isInstance ? 0 : this.#sum(base + WITHIN),
      neither: isInstance ? 0 : this.#sum(base + NEITHER),
      calls: isInstance ? NO_CALLS : this.#calls(base),
    };
  }

  #calls(base: number): StatusCounts['calls'] {
    let calls: Map<GrpcStatus, number> | null = null;
    for (const [code, status] of GRPC_STATUSES.entries()) {
      const count = this.#sum(base + CALLS + code);
      if (count > 0) calls = (calls ?? new Map()).set(status, count);
    }
    return calls ?? NO_CALLS;
  }
}
