/**
 * The worker threads, seen from the main thread: starts them, sends them snapshots, replaces one that dies with
 * back-off, carries the line between control and data, and drains them at the end. Connections of a dead worker are
 * lost with it; the others do not notice, since each has its own listening sockets.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { MetricsReader } from '../base/metrics.ts';
import type { CacheControl } from '../data/contract/cache.ts';
import type { InstanceTable } from '../data/contract/instance-table.ts';
import type { FromWorker, ToWorker, WorkerStart } from '../data/contract/messages.ts';
import type { SharedState } from '../data/contract/shared.ts';
import type { Secrets, Snapshot } from '../data/contract/snapshot.ts';
import type { ControlBus } from './bus.ts';

const BACKOFF_BASE_MS = 100;
const BACKOFF_MAX_MS = 10_000;
/** A worker that lived this long was healthy: the next death starts the back-off anew. */
const HEALTHY_AFTER_MS = 30_000;
const APPLY_TIMEOUT_MS = 30_000;

export interface WorkersOptions {
  /** Module of the worker's thread. */
  readonly entry: URL;
  readonly count: number;
  readonly shared: SharedState;
  readonly log: Logger;
  readonly metrics: MetricsReader;
  readonly instances: InstanceTable;
  readonly cache: Pick<CacheControl, 'clearWorker'>;
  /** Takes blocks of the access log for standard output; `done` says that they are written or dropped. */
  writeStdout(lines: Uint8Array, done: () => void): void;
  /** Whole lines of the process log. */
  writeLog(line: string): void;
}

interface Member {
  readonly index: number;
  worker: Worker;
  startedMs: number;
  failures: number;
  version: number;
  listening: boolean;
  replaced: boolean;
}

export interface WorkerStatus {
  readonly index: number;
  readonly threadId: number;
  readonly version: number;
  readonly listening: boolean;
  readonly restarts: number;
}

export class Workers implements ControlBus {
  readonly #options: WorkersOptions;
  readonly #members: (Member | null)[];
  readonly #restarts: number[];
  readonly #published = new Map<string, unknown>();
  readonly #listeners = new Map<string, ((data: unknown) => void)[]>();
  readonly #answers = new Map<string, (data: unknown) => unknown>();
  #snapshot: Snapshot | null = null;
  #secrets: Secrets = {};
  #ending = false;
  #onChange: (() => void)[] = [];

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#members = Array.from({ length: options.count }, () => null);
    this.#restarts = Array.from({ length: options.count }, () => 0);
  }

  // --- life ------------------------------------------------------------------------------------------------------

  /** Starts all workers; resolves when every one of them listens, rejects with the first reason why one cannot. */
  async start(snapshot: Snapshot, secrets: Secrets): Promise<void> {
    this.#snapshot = snapshot;
    this.#secrets = secrets;
    await Promise.all(this.#members.map((_, index) => this.#spawn(index, 0)));
  }

  /** Sends a snapshot to all; resolves with the problems of those that refused it (none: it is live everywhere). */
  async publishSnapshot(snapshot: Snapshot, secrets: Secrets): Promise<string[]> {
    this.#snapshot = snapshot;
    this.#secrets = secrets;
    const problems = await Promise.all(
      this.#members.map((member) => (member === null ? undefined : this.#applied(member, snapshot, secrets))),
    );
    return problems.filter((problem) => problem !== undefined);
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
   * idle connections may ask once more.
   */
  async drain(timeoutMs: number, lingerMs = 0): Promise<number> {
    this.#ending = true;
    const cut = await Promise.all(
      this.#members.map((member) => (member === null ? 0 : this.#drainOne(member, timeoutMs, lingerMs))),
    );
    return cut.reduce((sum, each) => sum + each, 0);
  }

  async #drainOne(member: Member, timeoutMs: number, lingerMs = 0): Promise<number> {
    const { worker } = member;
    const cutOff = await new Promise<number>((resolve) => {
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
    await worker.terminate();
    return cutOff;
  }

  #spawn(index: number, failures: number): Promise<void> {
    const { shared } = this.#options;
    const data: WorkerStart = {
      index,
      shared,
      snapshot: this.#snapshot!,
      secrets: this.#secrets,
      published: Object.fromEntries(this.#published),
    };
    const worker = new Worker(this.#options.entry, {
      workerData: data,
      name: `gatehouse-worker-${index}`,
      stdin: false,
    });
    const member: Member = {
      index,
      worker,
      startedMs: performance.now(),
      failures,
      version: 0,
      listening: false,
      replaced: false,
    };
    this.#members[index] = member;
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'applied' && !member.listening) {
          member.listening = true;
          resolve();
        }
        if (message.kind === 'refused' && !member.listening) reject(new Error(message.problem));
        this.#onMessage(member, message);
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
    const { log, metrics, instances, cache } = this.#options;
    member.listening = false;
    // Whatever it held, in flight or open, is gone; nobody else can take it back.
    if (this.#members[member.index] === member) {
      metrics.clearGauges(member.index);
      instances.clearWorker(member.index);
      cache.clearWorker(member.index);
    }
    for (const changed of this.#onChange) changed();
    if (this.#ending || member.replaced || this.#members[member.index] !== member) return;
    const lived = performance.now() - member.startedMs;
    const failures = lived > HEALTHY_AFTER_MS ? 0 : member.failures + 1;
    const delayMs = failures === 0 ? 0 : Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** (failures - 1));
    this.#restarts[member.index]!++;
    log.warn('a worker ended and is replaced', { worker: member.index, code, in_ms: delayMs });
    setTimeout(() => this.#replace(member.index, failures), delayMs).unref();
  }

  #replace(index: number, failures: number): void {
    if (this.#ending) return;
    this.#spawn(index, failures).then(
      () => this.#options.log.info('a worker was replaced', { worker: index }),
      (error: unknown) =>
        this.#options.log.error('a worker could not be replaced', { worker: index, error: messageOf(error) }),
    );
  }

  // --- messages --------------------------------------------------------------------------------------------------

  #onMessage(member: Member, message: FromWorker): void {
    switch (message.kind) {
      case 'log':
        this.#options.writeStdout(message.lines, () =>
          this.#send(member, { kind: 'logWritten', bytes: message.lines.length }),
        );
        break;
      case 'logLine':
        this.#options.writeLog(message.line);
        break;
      case 'applied':
        member.version = message.version;
        for (const changed of this.#onChange) changed();
        break;
      case 'tell':
        for (const listener of this.#listeners.get(message.topic) ?? []) listener(message.data);
        break;
      case 'ask':
        void this.#answer(member, message.id, message.topic, message.data);
        break;
      case 'unwell':
        this.#onUnwell(member);
        break;
      default:
    }
  }

  /** Its state is not to be trusted any more: it drains while its successor already listens. */
  #onUnwell(member: Member): void {
    if (member.replaced || this.#ending) return;
    member.replaced = true;
    this.#restarts[member.index]!++;
    this.#drainOne(member, 5_000).then(
      () => this.#replace(member.index, member.failures + 1),
      (error: unknown) =>
        this.#options.log.error('an unwell worker could not be drained', {
          worker: member.index,
          error: messageOf(error),
        }),
    );
  }

  async #answer(member: Member, id: number, topic: string, data: unknown): Promise<void> {
    try {
      const answer = this.#answers.get(topic);
      if (answer === undefined) throw new Error(`nobody answers to "${topic}"`);
      this.#send(member, { kind: 'answer', id, data: await answer(data), problem: null });
    } catch (error) {
      this.#send(member, { kind: 'answer', id, data: null, problem: messageOf(error) });
    }
  }

  #send(member: Member, message: ToWorker): void {
    member.worker.postMessage(message);
  }

  #applied(member: Member, snapshot: Snapshot, secrets: Secrets): Promise<string | undefined> {
    return new Promise((resolve) => {
      const { worker } = member;
      const done = (problem: string | undefined): void => {
        clearTimeout(late);
        worker.off('message', onMessage);
        worker.off('exit', onExit);
        resolve(problem);
      };
      const onMessage = (message: FromWorker): void => {
        if (message.kind === 'applied' && message.version >= snapshot.version) done(undefined);
        if (message.kind === 'refused' && message.version === snapshot.version) done(message.problem);
      };
      // A worker that dies meanwhile is replaced by one that starts with the new snapshot.
      const onExit = (): void => done(undefined);
      const late = setTimeout(
        () => done(`worker ${member.index} did not take the configuration in time`),
        APPLY_TIMEOUT_MS,
      );
      worker.on('message', onMessage);
      worker.on('exit', onExit);
      this.#send(member, { kind: 'snapshot', snapshot, secrets });
    });
  }

  // --- ControlBus ------------------------------------------------------------------------------------------------

  publish(topic: string, data: unknown): void {
    this.#published.set(topic, data);
    for (const member of this.#members) if (member !== null) this.#send(member, { kind: 'publish', topic, data });
  }

  onTell(topic: string, listener: (data: unknown) => void): void {
    const listeners = this.#listeners.get(topic) ?? [];
    listeners.push(listener);
    this.#listeners.set(topic, listeners);
  }

  onAsk(topic: string, answer: (data: unknown) => unknown): void {
    if (this.#answers.has(topic)) throw new TypeError(`"${topic}" is answered already`);
    this.#answers.set(topic, answer);
  }

  /** Called when a worker starts, ends, or takes a configuration. */
  onChange(listener: () => void): void {
    this.#onChange.push(listener);
  }
}
