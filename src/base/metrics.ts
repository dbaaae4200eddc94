/**
 * What a worker counts, in its own bank of shared memory: one plain add, no atomics, no message, no wait. The
 * layout is in metrics-layout.ts; control reads by metrics-reader.ts.
 */
import { CELLS, cellOf } from './duration-cells.ts';
import { knownGrpcCode } from './grpc-status.ts';
import {
  BROKEN,
  BYTES_IN,
  BYTES_OUT,
  bankLength,
  CALLS,
  cellBase,
  FAULT_INDEX,
  HEADER,
  HTTP2,
  INSTANCE_FAULTS,
  INSTANCE_HTTP2,
  INSTANCE_SLOTS,
  NEITHER,
  NUMBER_INDEX,
  PROCESS_NUMBERS,
  type ProcessNumber,
  ROUTE_BASE,
  ROUTE_SLOTS,
  STATUS_INDEX,
  SUM,
  shapeOf,
  WITHIN,
} from './metrics-layout.ts';

export { createMetricsBuffer } from './metrics-layout.ts';

const BYTES_RECEIVED = PROCESS_NUMBERS.indexOf('bytes_received');
const BYTES_SENT = PROCESS_NUMBERS.indexOf('bytes_sent');
const EXCHANGES_ACTIVE = PROCESS_NUMBERS.indexOf('exchanges_active');

// What a module imports is looked up on each use; constants of its own are compiled into the code that counts.
const statusIndex = STATUS_INDEX;
const routeBase = ROUTE_BASE;
const routeSlots = ROUTE_SLOTS;
const instanceSlots = INSTANCE_SLOTS;
const sumAt = SUM;
const bytesInAt = BYTES_IN;
const bytesOutAt = BYTES_OUT;
const cells = CELLS;

/** One worker's side: only adds. */
export class MetricsBank {
  readonly #numbers: Float64Array;
  readonly #routes: number;
  readonly #instances: number;
  readonly #instanceBase: number;
  readonly #cells: number;
  readonly #instanceCells: number;

  constructor(buffer: SharedArrayBuffer, worker: number) {
    const shape = shapeOf(buffer);
    const length = bankLength(shape);
    this.#instanceBase = ROUTE_BASE + shape.routes * ROUTE_SLOTS;
    this.#cells = cellBase(shape);
    this.#instanceCells = this.#cells + shape.routes * CELLS;
    this.#numbers = new Float64Array(buffer, (HEADER + worker * length) * 8, length);
    this.#routes = shape.routes;
    this.#instances = shape.instances;
  }

  add(name: ProcessNumber, change: number): void {
    this.#numbers[NUMBER_INDEX.get(name)!]! += change;
  }

  /** `add('exchanges_active', change)` without the look-up, since it happens twice per request. */
  exchange(change: 1 | -1): void {
    this.#numbers[EXCHANGES_ACTIVE]! += change;
  }

  fault(reason: string): void {
    this.#numbers[FAULT_INDEX.get(reason)!]! += 1;
  }

  /** One answered exchange. Slot 0 is for what no route took. */
  route(slot: number, status: number, seconds: number, bytesIn: number, bytesOut: number): void {
    const numbers = this.#numbers;
    const own = slot < this.#routes ? slot : 0;
    const base = routeBase + own * routeSlots;
    numbers[base + statusIndex[status]!]! += 1;
    numbers[this.#cells + own * cells + cellOf(seconds)]! += 1;
    numbers[base + sumAt]! += seconds;
    numbers[base + bytesOutAt]! += bytesOut;
    numbers[BYTES_SENT]! += bytesOut;
    // Most requests have no body.
    if (bytesIn === 0) return;
    numbers[base + bytesInAt]! += bytesIn;
    numbers[BYTES_RECEIVED]! += bytesIn;
  }

  /** What has been counted came over HTTP/2. */
  overHttp2(slot: number): void {
    this.#count(slot, HTTP2);
  }

  /** What has been counted was a gRPC call that ended so. */
  call(slot: number, code: number): void {
    this.#count(slot, CALLS + knownGrpcCode(code));
  }

  /** An exchange that has been counted failed though the head of its response did not say so. */
  broken(slot: number): void {
    this.#count(slot, BROKEN);
  }

  /** A gRPC call whose client left or asked too often, and the head of its response says 200. */
  neither(slot: number): void {
    this.#count(slot, NEITHER);
  }

  /** It met the route's objective for latency. */
  within(slot: number): void {
    this.#count(slot, WITHIN);
  }

  /** One more in the place `at` of a route. */
  #count(slot: number, at: number): void {
    this.#numbers[routeBase + (slot < this.#routes ? slot : 0) * routeSlots + at]! += 1;
  }

  /** A response of an instance that has been counted came over HTTP/2. */
  instanceOverHttp2(slot: number): void {
    const own = slot < this.#instances ? slot : 0;
    this.#numbers[this.#instanceBase + own * instanceSlots + INSTANCE_HTTP2]! += 1;
  }

  /** One attempt at an instance; status 0 when it failed without a response. */
  instance(slot: number, status: number, seconds: number): void {
    const numbers = this.#numbers;
    const own = slot < this.#instances ? slot : 0;
    const base = this.#instanceBase + own * instanceSlots;
    if (status === 0) {
      numbers[base + INSTANCE_FAULTS]! += 1;
      return;
    }
    numbers[base + statusIndex[status]!]! += 1;
    numbers[this.#instanceCells + own * cells + cellOf(seconds)]! += 1;
    numbers[base + sumAt]! += seconds;
  }
}
