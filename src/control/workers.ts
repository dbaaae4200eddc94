/**
 * The worker threads, seen from the main thread: starts them, replaces one that dies (at once, then with back-off) and
 * drains them at the end. How they get a configuration is in publishing.ts, the line between control and data in
 * worker-bus.ts. Connections of a dead worker are lost with it; the others do not notice, since each has its own
 * listening sockets. Where there is only one, a spare stands by that has everything but the sockets.
 *
 * Each thread has a bank of its own in shared memory; banks are more than workers, so that a successor can begin while
 * the one that it replaces still finishes what it has.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { MetricsReader } from '../base/metrics-reader.ts';
import { standardError, standardOutput } from '../base/process-output.ts';
import { trimMemory } from '../base/release-memory.ts';
import { inSlices } from '../base/slices.ts';
import type { CacheControl } from '../data/contract/cache.ts';
import type { InstanceTable } from '../data/contract/instance-table.ts';
import type { FromWorker, ToWorker, WorkerStart } from '../data/contract/messages.ts';
import type { SharedState } from '../data/contract/shared.ts';
import { MAX_WORKERS } from '../data/contract/shared.ts';
import type { Secrets, ServiceSettings, Snapshot } from '../data/contract/snapshot.ts';
import type { Received } from '../data/contract/snapshot-parts.ts';
import type { OwnFaults } from './own-faults.ts';
import { type PackedSnapshot, packAll, packSteps } from './packed-snapshot.ts';
import { Publishing } from './publishing.ts';
import { WorkerBus } from './worker-bus.ts';
import type { Member } from './worker-member.ts';
import { workerThread } from './worker-thread.ts';

const BACKOFF_BASE_MS = 100;
const BACKOFF_MAX_MS = 10_000;
/** A worker that lived this long was healthy: the next death starts the back-off anew. */
const HEALTHY_AFTER_MS = 30_000;

export interface WorkersOptions {
  /** Module of the worker's thread. */
  readonly entry: URL;
  readonly count: number;
  /** One spare more. */
  readonly withSpare: boolean;
  readonly shared: SharedState;
  readonly log: Logger;
  readonly metrics: MetricsReader;
  readonly instances: InstanceTable;
  readonly cache: Pick<CacheControl, 'clearWorker'>;
  readonly faults: OwnFaults;
  /** Most bytes of a worker's heap; null: as Node.js has it. */
  heapBytes(): number | null;
  /** Takes blocks of the access log for standard output; `done` says that they are written or dropped. */
  writeStdout(lines: Uint8Array, done: (lost: number) => void): void;
  /** Whole lines of the process log. */
  writeLog(line: string): void;
}

/** One for a spare, one for a successor that begins while its predecessor still finishes. */
const MORE_BANKS = 2;

/** How many threads may count in shared memory at a time, for so many workers. */
export function banksFor(workers: number): number {
  return Math.min(workers + MORE_BANKS, MAX_WORKERS);
}

/** How long the start of the process is left alone before a spare is made. */
const SPARE_AFTER_MS = 5_000;
const UNWELL_DRAIN_MS = 5_000;
/** So long its idle connections may ask once more, and hear that it was the last time. */
const UNWELL_LINGER_MS = 2_000;
/** Where a successor can listen beside its predecessor. */
const CAN_SHARE_PORTS = process.platform === 'linux';

/** Gateways that this process has started. One that starts many, such as a test, wants them fast rather than small. */
let gateways = 0;

export interface WorkerStatus {
  readonly index: number;
  readonly threadId: number;
  readonly version: number;
  readonly listening: boolean;
  readonly restarts: number;
}

export class Workers {
  readonly bus = new WorkerBus((message) => this.#sendToAll(message));
  readonly #options: WorkersOptions;
  readonly #publishing: Publishing;
  readonly #members: (Member | null)[];
  readonly #restarts: number[];
  readonly #freeBanks: number[];
  readonly #isFirst = gateways++ === 0;
  /** Those that are replaced and finish what they have. */
  readonly #finishing = new Set<Promise<number>>();
  #ended: Promise<unknown> = Promise.resolve();
  #spare: Member | null = null;
  #newest: Received | null = null;
  #ending = false;
  #onChange: (() => void)[] = [];

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#members = Array.from({ length: options.count }, () => null);
    this.#restarts = Array.from({ length: options.count }, () => 0);
    this.#freeBanks = Array.from({ length: banksFor(options.count) }, (_, bank) => bank);
    this.#publishing = new Publishing({
      log: options.log,
      newest: () => this.#newest!,
      setNewest: (newest) => {
        this.#newest = newest;
      },
      spare: () => this.#spare,
      isEnding: () => this.#ending,
      all: () => this.#all(),
      inPlace: (index) => this.#members[index] ?? null,
      onChange: (listener) => this.onChange(listener),
      replace: (member) => this.#onUnwell(member),
    });
  }

  // --- life ------------------------------------------------------------------------------------------------------

  /** Starts all workers; resolves when every one of them listens, rejects with the first reason why one cannot. */
  async start(snapshot: Snapshot, secrets: Secrets): Promise<void> {
    this.#newest = { snapshot, secrets };
    await Promise.all(this.#members.map((_, index) => this.#spawn(index, 0)));
    this.#planSpare(SPARE_AFTER_MS, 0);
  }

  /** Resolves with the problems of those that refused it; none: it is live everywhere. */
  publishSnapshot(snapshot: Snapshot, secrets: Secrets): Promise<string[]> {
    return this.#publishing.snapshot(snapshot, secrets);
  }

  /** The same for a snapshot in which only these services are others. */
  publishInstances(snapshot: Snapshot, services: readonly ServiceSettings[]): Promise<string[]> {
    return this.#publishing.instances(snapshot, services);
  }

  /** Workers, and the spare. One that has ended and is not replaced yet says nothing any more. */
  #all(): Member[] {
    return [...this.#members, this.#spare].filter((member): member is Member => member !== null && !member.hasEnded);
  }

  /** Of all threads that may hold something, the spare too. */
  threads(): number[] {
    return this.#all().map(({ worker }) => worker.threadId);
  }

  /** A spare stands by: the death of the only worker costs what it had in flight, and no request waits. */
  get hasSpare(): boolean {
    return this.#spare !== null && this.#spare.version > 0;
  }

  status(): WorkerStatus[] {
    return this.#members.flatMap((member) =>
      member === null
        ? []
        : [
            {
              index: member.index,
              threadId: member.worker.threadId,
              version: member.version,
              listening: member.listening,
              restarts: this.#restarts[member.index] ?? 0,
            },
          ],
    );
  }

  get listening(): number {
    return this.#members.filter((member) => member?.listening === true).length;
  }

  /** Ends one worker at once, as a crash would. For operators and tests; it is replaced. */
  async terminate(index: number): Promise<void> {
    await this.#members[index]?.worker.terminate();
  }

  /** The near end of a port on which a worker calls services; undefined when there is no such worker. */
  openCalls(threadId: number): MessagePort | undefined {
    const member = this.#members.find((each) => each?.worker.threadId === threadId);
    if (member?.listening !== true) return undefined;
    const { port1, port2 } = new MessageChannel();
    const message: ToWorker = { kind: 'calls', port: port2 };
    member.worker.postMessage(message, [port2]);
    return port1;
  }

  /** A profile of one worker over so many milliseconds, as JSON; null when there is no such worker. */
  async profile(kind: 'cpu' | 'heap', index: number, ms: number): Promise<string | null> {
    const worker = this.#members[index]?.worker;
    if (worker === undefined) return null;
    const handle = await (kind === 'cpu' ? worker.startCpuProfile() : worker.startHeapProfile());
    await new Promise((resolve) => setTimeout(resolve, ms));
    const profile: unknown = await handle.stop();
    return typeof profile === 'string' ? profile : JSON.stringify(profile);
  }

  /** From now on each response says that it is the last of its connection. */
  leave(): void {
    for (const member of this.#members) if (member !== null) this.#send(member, { kind: 'leave' });
  }

  /**
   * Lets every worker finish what it has; resolves with the number of connections that were cut off. For `lingerMs`
   * idle connections may ask once more. Their threads may still be ending: `ended`.
   */
  async drain(timeoutMs: number, lingerMs = 0): Promise<number> {
    this.#ending = true;
    this.#changed();
    const all = this.#all();
    const cut = await Promise.all([
      ...all.map((member) => this.#drained(member, timeoutMs, lingerMs)),
      ...this.#finishing,
    ]);
    this.#ended = Promise.all(all.map(({ worker }) => worker.terminate()));
    return cut.reduce((sum, each) => sum + each, 0);
  }

  /** The threads of those that were drained are gone. */
  async ended(): Promise<void> {
    await this.#ended;
  }

  async #drainOne(member: Member, timeoutMs: number, lingerMs: number): Promise<number> {
    const cutOff = await this.#drained(member, timeoutMs, lingerMs);
    await member.worker.terminate();
    return cutOff;
  }

  #drained(member: Member, timeoutMs: number, lingerMs: number): Promise<number> {
    const { worker } = member;
    return new Promise<number>((resolve) => {
      const late = setTimeout(() => resolve(0), lingerMs + timeoutMs + 2_000);
      worker.on('message', (message: FromWorker) => {
        if (message.kind !== 'drained') return;
        clearTimeout(late);
        resolve(message.cutOff);
      });
      worker.once('exit', () => {
        clearTimeout(late);
        resolve(0);
      });
      this.#send(member, { kind: 'drain', timeoutMs, lingerMs });
    });
  }

  /** Resolves when it listens; a spare when it could. */
  #spawn(index: number, failures: number, asSpare = false, packed?: PackedSnapshot): Promise<void> {
    const bank = this.#freeBanks.shift();
    if (bank === undefined) return Promise.reject(new Error('too many workers are still finishing what they have'));
    const newest = this.#newest!;
    const { head, parts } = packed ?? packAll(newest);
    const data: WorkerStart = {
      index: bank,
      isSpare: asSpare,
      releasesMemory: this.#isFirst,
      shared: this.#options.shared,
      snapshot: head,
      parts,
      published: this.bus.everything(),
    };
    const { entry } = this.#options;
    const name = asSpare ? 'gatehouse-spare' : `gatehouse-worker-${index}`;
    const worker = workerThread({ entry, name, heapBytes: this.#options.heapBytes() }, data);
    // What handlers and policies of users print.
    worker.stdout.on('data', (bytes: Uint8Array) => standardOutput.write(bytes, true));
    worker.stderr.on('data', (bytes: Uint8Array) => standardError.write(bytes));
    const startedMs = performance.now();
    const life = { startedMs, failures, version: 0, listening: false, hasEnded: false, replaced: false };
    const member: Member = { index, isSpare: asSpare, bank, worker, sent: newest, ...life };
    if (asSpare) this.#spare = member;
    else this.#members[index] = member;
    this.#changed();
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'refused' && !member.listening) reject(new Error(message.problem));
        this.#onMessage(member, message);
        if (message.kind === 'applied') resolve();
      });
      worker.on('error', (error) =>
        this.#options.log.error('a worker failed', { worker: index, error: messageOf(error) }),
      );
      worker.on('exit', (code) => {
        reject(new Error(`worker ${index} ended with code ${code} while it started`));
        this.#onExit(member, code);
      });
    });
  }

  #onExit(member: Member, code: number): void {
    const { log } = this.#options;
    member.listening = false;
    member.hasEnded = true;
    this.#clear(member);
    this.#changed();
    const isSpare = this.#spare === member;
    if (isSpare) this.#spare = null;
    if (this.#ending || member.replaced || (!isSpare && this.#members[member.index] !== member)) return;
    const lived = performance.now() - member.startedMs;
    const failures = lived > HEALTHY_AFTER_MS ? 0 : member.failures + 1;
    if (isSpare) {
      this.#planSpare(Math.max(SPARE_AFTER_MS, backOffMs(failures)), failures);
      return;
    }
    this.#restarts[member.index]!++;
    if (this.hasSpare) {
      void this.#promote(member.index, failures);
      log.warn('a worker ended and the spare took its place', { worker: member.index, code });
      return;
    }
    const delayMs = backOffMs(failures);
    log.warn('a worker ended and is replaced', { worker: member.index, code, in_ms: delayMs });
    this.#later(delayMs, () => this.#replace(member.index, failures));
  }

  /** Whatever it held, in flight or open, is gone; no other worker can take it back. */
  #clear({ bank }: Member): void {
    const { metrics, instances, cache } = this.#options;
    metrics.clearGauges(bank);
    instances.clearWorker(bank);
    cache.clearWorker(bank);
    this.#freeBanks.push(bank);
  }

  #replace(index: number, failures: number): Promise<void> {
    if (this.#ending) return Promise.resolve();
    return this.#spawn(index, failures).then(
      () => {
        this.#options.log.info('a worker was replaced', { worker: index });
        this.#planSpare(SPARE_AFTER_MS, failures);
      },
      (error: unknown) =>
        this.#options.log.error('a worker could not be replaced', { worker: index, error: messageOf(error) }),
    );
  }

  /** Resolves when the spare listens in this place. */
  #promote(index: number, failures: number): Promise<void> {
    const spare = this.#spare!;
    this.#spare = null;
    this.#members[index] = Object.assign(spare, { index, isSpare: false, failures, startedMs: performance.now() });
    this.#changed();
    this.#planSpare(Math.max(SPARE_AFTER_MS, backOffMs(failures)), failures);
    return new Promise((resolve) => {
      spare.worker.on('message', (message: FromWorker) => {
        if (message.kind === 'applied' && message.isListening) resolve();
      });
      spare.worker.once('exit', () => resolve());
      this.#send(spare, { kind: 'listen' });
    });
  }

  #planSpare(afterMs: number, failures: number): void {
    if (!this.#options.withSpare) return;
    this.#later(afterMs, () => {
      if (this.#ending || this.#spare !== null || this.listening === 0) return;
      this.#spawnSpare(failures).catch((error: unknown) =>
        this.#options.log.warn('a spare worker could not be made', { error: messageOf(error) }),
      );
    });
  }

  /** Nothing waits for a spare, so the main thread does not stand still for it. */
  async #spawnSpare(failures: number): Promise<void> {
    const newest = this.#newest!;
    const packed = await inSlices(packSteps(newest, null));
    if (newest !== this.#newest) {
      packed.parts.close();
      return this.#spawnSpare(failures);
    }
    if (this.#ending || this.#spare !== null) packed.parts.close();
    else {
      await this.#spawn(0, failures, true, packed);
      if (this.#isFirst) trimMemory();
    }
  }

  #later(ms: number, task: () => unknown): void {
    if (ms === 0) task();
    else setTimeout(task, ms).unref();
  }

  // --- messages --------------------------------------------------------------------------------------------------

  #onMessage(member: Member, message: FromWorker): void {
    switch (message.kind) {
      case 'log':
        this.#options.writeStdout(message.lines, (lost) =>
          this.#send(member, { kind: 'logWritten', bytes: message.lines.length, lost }),
        );
        break;
      case 'logLine':
        this.#options.writeLog(message.line);
        break;
      case 'applied':
        member.version = message.version;
        member.listening = message.isListening;
        this.#changed();
        break;
      case 'tell':
      case 'ask':
        this.bus.take(message, (answer) => this.#send(member, answer));
        break;
      case 'rejection':
        this.#options.faults.rejections.worker++;
        break;
      case 'unwell':
        this.#onUnwell(member);
        break;
      default:
    }
  }

  /** Its state is not to be trusted any more: it finishes what it has, as soon as its successor listens. */
  #onUnwell(member: Member): void {
    if (member.replaced || this.#ending) return;
    member.replaced = true;
    if (this.#spare === member) {
      void this.#finish(member);
      this.#spare = null;
      this.#planSpare(SPARE_AFTER_MS, member.failures + 1);
      return;
    }
    this.#restarts[member.index]!++;
    const lived = performance.now() - member.startedMs;
    const failures = lived > HEALTHY_AFTER_MS ? 0 : member.failures + 1;
    if (CAN_SHARE_PORTS && this.hasSpare) void this.#promote(member.index, failures).then(() => this.#finish(member));
    else if (CAN_SHARE_PORTS && this.#freeBanks.length > 0)
      this.#later(backOffMs(failures), () => this.#replace(member.index, failures).then(() => this.#finish(member)));
    else void this.#finish(member).then(() => this.#replace(member.index, failures));
  }

  #finish(member: Member): Promise<number> {
    const finishing = this.#drainOne(member, UNWELL_DRAIN_MS, UNWELL_LINGER_MS).catch((error: unknown) => {
      this.#options.log.error('an unwell worker could not be drained', {
        worker: member.index,
        error: messageOf(error),
      });
      return 0;
    });
    this.#finishing.add(finishing);
    return finishing.finally(() => this.#finishing.delete(finishing));
  }

  #send(member: Member, message: ToWorker): void {
    member.worker.postMessage(message);
  }

  #sendToAll(message: ToWorker): void {
    for (const member of this.#all()) this.#send(member, message);
  }

  #changed(): void {
    for (const listener of this.#onChange) listener();
  }

  /** Called when a worker starts, ends, or takes a configuration. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#onChange.push(listener);
    return () => {
      this.#onChange = this.#onChange.filter((each) => each !== listener);
    };
  }
}

/** The first one is replaced at once. */
function backOffMs(failures: number): number {
  return failures <= 1 ? 0 : Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** (failures - 2));
}
