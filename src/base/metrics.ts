/**
 * Numbers that workers count and control reads, in shared memory. Each worker has a bank of its own, so counting is
 * one plain add: no atomics, no message, nobody waits. Control sums the banks when it is asked. Doubles are exact up
 * to 2^53 and 64-bit aligned stores do not tear on the platforms Node runs on.
 *
 *   bank = | process numbers | faults by reason | routes x ROUTE_SLOTS | instances x INSTANCE_SLOTS |
 *
 * Cardinality is bounded by construction: a route or instance has a slot or none. Memory is committed by the
 * operating system only where a slot is used.
 */
import { FAULT_REASONS } from './errors.ts';

/** Numbers of a whole worker. Gauges go down when things end and are cleared when a worker dies. */
export const PROCESS_NUMBERS = [
  'connections_accepted',
  'connections_active',
  'connections_refused',
  'address_connections_refused',
  'address_waits',
  'address_refused',
  'address_bodies_cut',
  'requests_refused',
  'tunnels_active',
  'tunnels_opened',
  'bytes_received',
  'bytes_sent',
  'access_log_dropped',
  'exchanges_active',
  'exchanges_aborted',
  'retries',
  'hedges',
  'mirrored',
  'mirror_dropped',
  'upstream_connections_opened',
  'stale_reuses',
  'tls_handshake_errors',
  'aggregate_parts',
  'aggregate_parts_failed',
  'handler_calls',
  'faults_injected',
  'compressed_responses',
  'compression_bytes_in',
  'compression_bytes_out',
  'unpacked_requests',
  'transformed_bodies',
  'invalid_responses',
  'http2_connections_active',
  'http2_connections_accepted',
  'http2_requests',
  'http2_abuse_rapid_reset',
  'http2_abuse_provoked_reset',
  'http2_abuse_continuation',
  'http2_abuse_empty_frame',
  'http2_abuse_settings',
  'http2_abuse_ping',
  'http2_abuse_priority',
  'http2_abuse_tiny_window',
  'http2_abuse_field_block',
] as const;
export type ProcessNumber = (typeof PROCESS_NUMBERS)[number];
export const GAUGES = [
  'connections_active',
  'tunnels_active',
  'exchanges_active',
  'http2_connections_active',
] as const satisfies readonly ProcessNumber[];

/** Statuses counted by themselves; any other counts under its class. */
export const STATUSES = [
  101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413,
  414, 415, 416, 417, 422, 426, 429, 431, 499, 500, 501, 502, 503, 504, 505,
] as const;
const CLASS_BASE = STATUSES.length;

/** Upper bounds in seconds; one more bucket is above them all. */
export const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

const COUNTS = CLASS_BASE + 6;
const BUCKETS = COUNTS;
const SUM = BUCKETS + LATENCY_BUCKETS.length + 1;
const BYTES_IN = SUM + 1;
const BYTES_OUT = SUM + 2;
const BROKEN = SUM + 3;
const WITHIN = SUM + 4;
/**
 * Numbers of a route: answers by status, latency histogram, sum of seconds, bytes in and out, responses that broke off,
 * and those that were good and as fast as the route's objective wants.
 */
const ROUTE_SLOTS = SUM + 5;
/** Numbers of an instance: the same less bytes, plus faults. */
const INSTANCE_SLOTS = SUM + 1 + 1;
const INSTANCE_FAULTS = SUM + 1;

// RFC 9110 §15: what is above 599 counts as a fault of the server.
const STATUS_INDEX = Uint8Array.from({ length: 1_000 }, (_, status) => {
  const exact = (STATUSES as readonly number[]).indexOf(status);
  return exact >= 0 ? exact : CLASS_BASE + Math.min(5, Math.floor(status / 100));
});

export interface MetricsShape {
  readonly workers: number;
  readonly routes: number;
  readonly instances: number;
}

function bankLength(shape: MetricsShape): number {
  return PROCESS_NUMBERS.length + FAULT_REASONS.length + shape.routes * ROUTE_SLOTS + shape.instances * INSTANCE_SLOTS;
}

/** The first doubles of the buffer say its shape, so that whoever gets the buffer can read it. */
const HEADER = 4;

export function createMetricsBuffer(shape: MetricsShape): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer((HEADER + shape.workers * bankLength(shape)) * 8);
  const header = new Float64Array(buffer, 0, HEADER);
  header[0] = shape.workers;
  header[1] = shape.routes;
  header[2] = shape.instances;
  return buffer;
}

function shapeOf(buffer: SharedArrayBuffer): MetricsShape {
  const header = new Float64Array(buffer, 0, HEADER);
  return { workers: header[0] ?? 0, routes: header[1] ?? 0, instances: header[2] ?? 0 };
}

const FAULT_BASE = PROCESS_NUMBERS.length;
const ROUTE_BASE = FAULT_BASE + FAULT_REASONS.length;
const NUMBER_INDEX = new Map<string, number>(PROCESS_NUMBERS.map((name, index) => [name, index]));
const BYTES_RECEIVED = PROCESS_NUMBERS.indexOf('bytes_received');
const BYTES_SENT = PROCESS_NUMBERS.indexOf('bytes_sent');
const EXCHANGES_ACTIVE = PROCESS_NUMBERS.indexOf('exchanges_active');
const FAULT_INDEX = new Map<string, number>(FAULT_REASONS.map((reason, index) => [reason, FAULT_BASE + index]));

/** One worker's side: only adds. */
export class MetricsBank {
  readonly #numbers: Float64Array;
  readonly #routes: number;
  readonly #instances: number;

  constructor(buffer: SharedArrayBuffer, worker: number) {
    const shape = shapeOf(buffer);
    const length = bankLength(shape);
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
    const base = ROUTE_BASE + (slot < this.#routes ? slot : 0) * ROUTE_SLOTS;
    numbers[base + STATUS_INDEX[status]!]! += 1;
    numbers[base + BUCKETS + bucketOf(seconds)]! += 1;
    numbers[base + SUM]! += seconds;
    numbers[base + BYTES_IN]! += bytesIn;
    numbers[base + BYTES_OUT]! += bytesOut;
    numbers[BYTES_RECEIVED]! += bytesIn;
    numbers[BYTES_SENT]! += bytesOut;
  }

  /** The response of an exchange that has been counted broke off. */
  broken(slot: number): void {
    this.#numbers[ROUTE_BASE + (slot < this.#routes ? slot : 0) * ROUTE_SLOTS + BROKEN]! += 1;
  }

  /** It met the route's objective for latency. */
  within(slot: number): void {
    this.#numbers[ROUTE_BASE + (slot < this.#routes ? slot : 0) * ROUTE_SLOTS + WITHIN]! += 1;
  }

  /** One attempt at an instance; status 0 when it failed without an answer. */
  instance(slot: number, status: number, seconds: number): void {
    const numbers = this.#numbers;
    const base = ROUTE_BASE + this.#routes * ROUTE_SLOTS + (slot < this.#instances ? slot : 0) * INSTANCE_SLOTS;
    if (status === 0) {
      numbers[base + INSTANCE_FAULTS]! += 1;
      return;
    }
    numbers[base + STATUS_INDEX[status]!]! += 1;
    numbers[base + BUCKETS + bucketOf(seconds)]! += 1;
    numbers[base + SUM]! += seconds;
  }
}

function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BUCKETS.length && seconds > LATENCY_BUCKETS[bucket]!) bucket++;
  return bucket;
}

export interface StatusCounts {
  /** Keys are statuses (`404`) or classes (`4xx`). */
  readonly byStatus: ReadonlyMap<string, number>;
  readonly total: number;
  /** Counts per bucket, not cumulative, one more than `LATENCY_BUCKETS`. */
  readonly buckets: readonly number[];
  readonly sumSeconds: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly faults: number;
  /** Of a route: responses that broke off. */
  readonly broken: number;
  /** Of a route: good responses within its objective for latency. */
  readonly within: number;
}

/** Control's side: sums over all banks. */
export class MetricsReader {
  readonly #buffer: SharedArrayBuffer;
  readonly #shape: MetricsShape;
  readonly #banks: Float64Array[];

  constructor(buffer: SharedArrayBuffer) {
    this.#buffer = buffer;
    this.#shape = shapeOf(buffer);
    const length = bankLength(this.#shape);
    this.#banks = Array.from(
      { length: this.#shape.workers },
      (_, worker) => new Float64Array(this.#buffer, (HEADER + worker * length) * 8, length),
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
    return this.#read(ROUTE_BASE + this.#shape.routes * ROUTE_SLOTS + slot * INSTANCE_SLOTS, true);
  }

  /** What a dead worker held it holds no more. */
  clearGauges(worker: number): void {
    const bank = this.#banks[worker];
    if (bank !== undefined) for (const name of GAUGES) bank[NUMBER_INDEX.get(name)!] = 0;
  }

  /** A slot that is handed to another route must not start with the numbers of the old one. */
  clearRoute(slot: number): void {
    for (const bank of this.#banks)
      bank.fill(0, ROUTE_BASE + slot * ROUTE_SLOTS, ROUTE_BASE + (slot + 1) * ROUTE_SLOTS);
  }

  clearInstance(slot: number): void {
    const base = ROUTE_BASE + this.#shape.routes * ROUTE_SLOTS;
    for (const bank of this.#banks) bank.fill(0, base + slot * INSTANCE_SLOTS, base + (slot + 1) * INSTANCE_SLOTS);
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
      byStatus.set(i < CLASS_BASE ? String(STATUSES[i]) : `${i - CLASS_BASE}xx`, count);
    }
    const buckets = Array.from({ length: LATENCY_BUCKETS.length + 1 }, (_, bucket) =>
      this.#sum(base + BUCKETS + bucket),
    );
    return {
      byStatus,
      total,
      buckets,
      sumSeconds: this.#sum(base + SUM),
      bytesIn: isInstance ? 0 : this.#sum(base + BYTES_IN),
      bytesOut: isInstance ? 0 : this.#sum(base + BYTES_OUT),
      faults: isInstance ? this.#sum(base + INSTANCE_FAULTS) : 0,
      broken: isInstance ? 0 : this.#sum(base + BROKEN),
      within: isInstance ? 0 : this.#sum(base + WITHIN),
    };
  }
}
