/**
 * A worker of the cluster: joins, sends heartbeats, runs the tasks it is given, up to its capacity, and reports. When
 * it is drained it takes nothing new; when it has been forgotten it joins again, if its join token still works; while
 * no gateway can be reached it goes on trying. A task may run twice (here, or on another node after this one fell
 * silent), so what it does should bear that; `task.signal` says that the task is no longer this node's.
 */
import { pause } from './pause.ts';
import type { ClusterTask, MessageRecord } from './records.ts';
import { type Call, type CallOptions, ClusterCallError, Transport } from './transport.ts';

export interface WorkerTask {
  readonly id: string;
  readonly kind: string;
  readonly payload: unknown;
  readonly attempt: number;
  /** Aborted when the task was cancelled or given to another node. */
  readonly signal: AbortSignal;
  /** How far it is, 0 to 1; also a sign of life (one is sent by itself at a third of the task's timeout). */
  progress(share: number): Promise<void>;
}

export type WorkerEvent =
  | { readonly type: 'joined'; readonly nodeId: string }
  | { readonly type: 'unreachable'; readonly error: Error }
  | { readonly type: 'state'; readonly state: string };

export interface JoinOptions extends CallOptions {
  /** Absent: it joins by the client certificate that `fetch` presents, whose name is `name`. */
  readonly joinToken?: string;
  /** Name of this node, unlike every other. */
  readonly name: string;
  readonly zone?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Tasks at once. Default 1. */
  readonly capacity?: number;
  /**
   * How long it goes on trying to join while no gateway is reached or its name is still taken, milliseconds. Default
   * 60,000.
   */
  readonly joinTimeoutMs?: number;
  /** Does a task; what it resolves with is the result. A rejection with `{ final: true }` is not tried again. */
  readonly run: (task: WorkerTask) => unknown;
  /** Messages to this node; acknowledged when it resolves. Default: none are read. */
  readonly onMessage?: (message: MessageRecord) => unknown;
  readonly onEvent?: (event: WorkerEvent) => void;
}

export interface ClusterWorker {
  readonly nodeId: string;
  readonly running: number;
  /** Sends to another node, or `all`. */
  send(to: string, topic: string, body: unknown, idempotencyKey?: string): Promise<number>;
  /** Takes nothing new, finishes what runs (up to `timeoutMs`, default 30,000), leaves. */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

interface Running {
  readonly attempt: number;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

const POLL_SECONDS = 10;
const RETRY_MS = 1_000;

/**
 * Resolves once it has joined. Rejects with a `ClusterCallError` when the cluster refuses it, or after `joinTimeoutMs`.
 */
export async function joinCluster(options: JoinOptions): Promise<ClusterWorker> {
  const worker = new Worker(options);
  const giveUpMs = performance.now() + (options.joinTimeoutMs ?? 60_000);
  for (;;) {
    try {
      await worker.join();
      break;
    } catch (error) {
      // A process that took the place of a killed one has its name only when the cluster has missed that one's
      // heartbeats.
      const mayPass = error instanceof ClusterCallError && (error.status === 0 || error.code === 'NAME_TAKEN');
      if (!mayPass || performance.now() > giveUpMs) throw error;
      options.onEvent?.({ type: 'unreachable', error });
      await pause(RETRY_MS * (0.5 + Math.random()));
    }
  }
  worker.begin();
  return worker;
}

class Worker implements ClusterWorker {
  nodeId = '';
  readonly #options: JoinOptions;
  readonly #transport: Transport;
  readonly #running = new Map<string, Running>();
  readonly #closing = new AbortController();
  readonly #loops: Promise<void>[] = [];
  #token = '';
  #heartbeatMs = 3_000;
  #state = 'active';
  #joining: Promise<void> | undefined;

  constructor(options: JoinOptions) {
    this.#options = options;
    this.#transport = new Transport(options);
  }

  get running(): number {
    return this.#running.size;
  }

  async join(): Promise<void> {
    const { joinToken, name, zone, labels = {}, capacity = 1 } = this.#options;
    const joined = (await this.#transport.call({
      method: 'POST',
      path: joinToken === undefined ? '/cluster/join-by-certificate' : '/cluster/join',
      headers: joinToken === undefined ? {} : { authorization: `Bearer ${joinToken}` },
      body: { name, labels, capacity, ...(zone === undefined ? {} : { zone }) },
      isRepeatable: false,
    })) as { node: { id: string }; token: string; heartbeat_ms: number };
    this.#token = joined.token;
    this.#heartbeatMs = joined.heartbeat_ms;
    this.nodeId = joined.node.id;
    this.#options.onEvent?.({ type: 'joined', nodeId: this.nodeId });
  }

  begin(): void {
    this.#loops.push(
      this.#loop(() => this.#heartbeat()),
      this.#loop(() => this.#takeTasks()),
    );
    if (this.#options.onMessage !== undefined) this.#loops.push(this.#loop(() => this.#readMessages()));
  }

  async send(to: string, topic: string, body: unknown, key: string = crypto.randomUUID()): Promise<number> {
    const sent = await this.#call('POST', '/messages', { to, topic, body }, { 'idempotency-key': key });
    return (sent as { sent_to: number }).sent_to;
  }

  async close({ timeoutMs = 30_000 }: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await Promise.all(this.#loops);
    const limit = new AbortController();
    await Promise.race([
      Promise.all([...this.#running.values()].map(({ done }) => done)),
      pause(timeoutMs, limit.signal).catch(() => {}),
    ]);
    limit.abort();
    for (const { abort } of this.#running.values()) abort.abort(new Error('the worker ends'));
    await this.#call('DELETE', '/node', undefined).catch(() => {});
  }

  // --- loops ---------------------------------------------------------------------------------------------------------

  /** Repeats until the end; trouble is said and tried again, with a pause. */
  async #loop(step: () => Promise<void>): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await step();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ClusterCallError && error.status === 401) await this.#joinAgain();
        else this.#options.onEvent?.({ type: 'unreachable', error: error as Error });
        await pause(RETRY_MS * (0.5 + Math.random()), signal).catch(() => {});
      }
    }
  }

  #joinAgain(): Promise<void> {
    this.#joining ??= this.join()
      .catch((error: unknown) => this.#options.onEvent?.({ type: 'unreachable', error: error as Error }))
      .finally(() => {
        this.#joining = undefined;
      });
    return this.#joining;
  }

  async #heartbeat(): Promise<void> {
    const { capacity = 1 } = this.#options;
    const beat = { health: 'healthy', load: { running: this.#running.size }, capacity };
    const { state } = (await this.#call('PUT', '/heartbeat', beat)) as { state: string };
    if (state !== this.#state) this.#options.onEvent?.({ type: 'state', state });
    this.#state = state;
    await pause(this.#heartbeatMs, this.#closing.signal).catch(() => {});
  }

  async #takeTasks(): Promise<void> {
    const query = `?wait=${POLL_SECONDS}&limit=100`;
    const { tasks } = (await this.#call('GET', `/tasks${query}`, undefined)) as { tasks: readonly ClusterTask[] };
    for (const task of tasks) {
      if (this.#running.get(task.id)?.attempt === task.attempt || this.#closing.signal.aborted) continue;
      const abort = new AbortController();
      const done = this.#work(task, abort).finally(() => this.#running.delete(task.id));
      this.#running.set(task.id, { attempt: task.attempt, abort, done });
    }
  }

  async #readMessages(): Promise<void> {
    const { messages } = (await this.#call('GET', `/messages?wait=${POLL_SECONDS}`, undefined)) as {
      messages: readonly MessageRecord[];
    };
    for (const message of messages) {
      await this.#options.onMessage?.(message);
      await this.#call('POST', `/messages/${message.id}/ack`, undefined);
    }
  }

  // --- one task ------------------------------------------------------------------------------------------------------

  async #work(task: ClusterTask, abort: AbortController): Promise<void> {
    const { id, attempt } = task;
    const report = async (action: string, body: object): Promise<void> => {
      try {
        await this.#call('POST', `/tasks/${id}/${action}`, { attempt, ...body });
      } catch (error) {
        // No longer this node's: cancelled, or given to another.
        if (error instanceof ClusterCallError && (error.status === 409 || error.status === 404)) abort.abort(error);
        else if (error instanceof ClusterCallError && error.status === 401) abort.abort(error);
        throw error;
      }
    };
    try {
      await report('accept', {});
    } catch (error) {
      this.#options.onEvent?.({ type: 'unreachable', error: error as Error });
      return;
    }
    const alive = setInterval(() => void report('progress', {}).catch(() => {}), task.timeout_ms / 3);
    try {
      const result = await this.#options.run({
        id,
        kind: task.kind,
        payload: task.payload,
        attempt,
        signal: abort.signal,
        progress: (share) => report('progress', { progress: share }),
      });
      if (!abort.signal.aborted) await insistently(() => report('complete', { result: result ?? null }), abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return;
      const final = (error as { final?: unknown } | null)?.final === true;
      const text = String(error instanceof Error ? error.message : error).slice(0, 2_000) || 'failed';
      await insistently(() => report('fail', { error: text, final }), abort.signal).catch(() => {});
    } finally {
      clearInterval(alive);
    }
  }

  #call(method: Call['method'], path: string, body: unknown, more: Readonly<Record<string, string>> = {}) {
    return this.#transport.call({
      method,
      path: `/cluster/self${path}`,
      headers: { authorization: `Bearer ${this.#token}`, ...more },
      // Every report names its attempt, so that the same one twice does no harm.
      isRepeatable: true,
      timeoutMs: (POLL_SECONDS + 10) * 1_000,
      ...(method === 'GET' ? { signal: this.#closing.signal } : {}),
      ...(body === undefined ? {} : { body }),
    });
  }
}

/** A result that could not be reported would mean doing all of it again, so it is tried for a while. */
async function insistently(report: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let i = 0; ; i++) {
    try {
      return await report();
    } catch (error) {
      if (signal.aborted || i >= 30) throw error;
      await pause(RETRY_MS, signal);
    }
  }
}
