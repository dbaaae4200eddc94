/**
 * The client for applications: status, nodes, tasks, messages, rollouts, events. A token is an access token or API key
 * that the gateway accepts.
 */

import { pause } from './pause.ts';
import type {
  ClusterEventRecord,
  ClusterNodeRecord,
  ClusterStatus,
  ClusterTask,
  JoinTokenRecord,
  MadeJoinToken,
  RolloutRecord,
  VersionDifference,
  VersionRecord,
} from './records.ts';
import { type CallOptions, ClusterCallError, Transport } from './transport.ts';

export interface ClientOptions extends CallOptions {
  /** Access token; a function is asked before each call, so that it can give a fresh one. */
  readonly token?: string | (() => string | Promise<string>);
  /** Instead of a token. */
  readonly apiKey?: string;
}

export interface NewTaskInput {
  readonly kind: string;
  readonly payload?: unknown;
  /** Labels that a node must have. */
  readonly selector?: Readonly<Record<string, string>>;
  /** Labels that are preferred. */
  readonly affinity?: Readonly<Record<string, string>>;
  readonly priority?: number;
  readonly maxAttempts?: number;
  /** Longest silence of the node that works on it. */
  readonly timeoutMs?: number;
  /** Twice with the same key is once. Default: a new one each time, so that a call can be repeated safely. */
  readonly idempotencyKey?: string;
}

export type NewRollout = ({ readonly document: string } | { readonly version: number }) & {
  readonly reason: string;
  /** Take a document again that was rolled back before. */
  readonly force?: boolean;
  /** How long the first gateways are compared with the others; default: `cluster.rollout.watch`, as all of these. */
  readonly watchMs?: number;
  readonly waveWatchMs?: number;
  /** Longest wait for traffic enough to judge it; then it goes back. Null: it spreads unjudged. */
  readonly judgeWithinMs?: number | null;
  /** Shares of the gateways. */
  readonly canaryShare?: number;
  readonly waves?: readonly number[];
};

export interface ClusterClient {
  status(): Promise<ClusterStatus>;
  nodes(): Promise<readonly ClusterNodeRecord[]>;
  node(id: string): Promise<ClusterNodeRecord>;
  /** `remove` takes it out for good. */
  changeNode(
    id: string,
    action: 'cordon' | 'drain' | 'activate' | 'remove',
    reason: string,
  ): Promise<ClusterNodeRecord>;
  setLabels(id: string, labels: Readonly<Record<string, string>>): Promise<ClusterNodeRecord>;
  createTask(task: NewTaskInput): Promise<ClusterTask>;
  task(id: string): Promise<ClusterTask>;
  /** Newest first; at most `limit` (100). */
  tasks(filter?: {
    readonly state?: ClusterTask['state'];
    readonly kind?: string;
    readonly limit?: number;
  }): Promise<readonly ClusterTask[]>;
  cancelTask(id: string): Promise<ClusterTask>;
  /** Resolves when it is done, failed or cancelled; asks about twice a second. */
  waitForTask(id: string, options?: { readonly signal?: AbortSignal; readonly everyMs?: number }): Promise<ClusterTask>;
  /** `to`: a node's id or `all`. Resolves with the number of nodes it is kept for. */
  send(to: string, topic: string, body: unknown, idempotencyKey?: string): Promise<number>;
  /** Events after an id, waiting up to `waitSeconds` (at most 30) for one. */
  events(after: number, waitSeconds?: number): Promise<readonly ClusterEventRecord[]>;
  /**
   * One event after the other, from after this id on, for as long as the signal lets it; none is left out or doubled.
   */
  followEvents(after: number, signal?: AbortSignal): AsyncGenerator<ClusterEventRecord, void, void>;
  rollouts(): Promise<readonly RolloutRecord[]>;
  rollout(id: string): Promise<RolloutRecord>;
  /** What runs the version goes back to the one before. */
  abortRollout(id: string, reason: string): Promise<RolloutRecord>;
  /** The history, newest first, without the documents. */
  versions(): Promise<readonly VersionRecord[]>;
  /** What a version changed; default: against the one before it. */
  difference(version: number, from?: number): Promise<VersionDifference>;
  rollOut(change: NewRollout): Promise<RolloutRecord>;
  /** A join token; its text is shown here once, its `id` revokes it. */
  createJoinToken(options?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly uses?: number | null;
    readonly ttlMs?: number;
  }): Promise<MadeJoinToken>;
  /** Those that still let a node join, newest first, without their texts. */
  joinTokens(): Promise<readonly JoinTokenRecord[]>;
  /** Nodes that joined with it stay; `changeNode(id, 'remove', ...)` takes one out. */
  revokeJoinToken(id: string): Promise<void>;
}

const OVER = new Set(['done', 'failed', 'cancelled']);
/** A gateway that cannot be reached, ends, or has no store. */
const AWAY = new Set([0, 502, 503, 504]);
const POLL_SECONDS = 20;
const RETRY_MS = 1_000;

export function clusterClient(options: ClientOptions): ClusterClient {
  const transport = new Transport(options);
  const { token, apiKey } = options;

  const headers = async (more: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> => {
    if (apiKey !== undefined) return { ...more, 'x-api-key': apiKey };
    const text = typeof token === 'function' ? await token() : token;
    return text === undefined ? more : { ...more, authorization: `Bearer ${text}` };
  };
  const get = async <T>(path: string, timeoutMs?: number, signal?: AbortSignal): Promise<T> =>
    (await transport.call({
      method: 'GET',
      path,
      headers: await headers({}),
      isRepeatable: true,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(signal === undefined ? {} : { signal }),
    })) as T;
  const send = async <T>(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body: unknown,
    idempotencyKey?: string,
  ): Promise<T> =>
    (await transport.call({
      method,
      path,
      body,
      headers: await headers(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
      isRepeatable: idempotencyKey !== undefined || method !== 'POST',
    })) as T;

  const events = async (after: number, waitSeconds = 0, signal?: AbortSignal): Promise<ClusterEventRecord[]> => {
    const query = `after=${after}&limit=500&wait=${waitSeconds}`;
    return (await get<{ events: ClusterEventRecord[] }>(`/cluster/events?${query}`, (waitSeconds + 10) * 1_000, signal))
      .events;
  };
  async function* followEvents(after: number, signal?: AbortSignal): AsyncGenerator<ClusterEventRecord, void, void> {
    for (let last = after; signal?.aborted !== true; ) {
      const found = await events(last, POLL_SECONDS, signal).catch(async (error: unknown) => {
        if (signal?.aborted !== true && !(error instanceof ClusterCallError && AWAY.has(error.status))) throw error;
        // No gateway answers at the moment, or the store is away: what happens meanwhile comes afterwards.
        await pause(RETRY_MS, signal).catch(() => {});
        return [];
      });
      for (const event of found) {
        last = event.id;
        yield event;
      }
    }
  }

  return {
    status: () => get('/cluster'),
    nodes: async () => (await get<{ nodes: ClusterNodeRecord[] }>('/nodes')).nodes,
    node: (id) => get(`/nodes/${encodeURIComponent(id)}`),
    changeNode: (id, action, reason) => send('POST', `/nodes/${encodeURIComponent(id)}/${action}`, { reason }),
    setLabels: (id, labels) => send('PUT', `/nodes/${encodeURIComponent(id)}/labels`, { labels }),
    createTask: ({ maxAttempts, timeoutMs, idempotencyKey, ...task }) =>
      send(
        'POST',
        '/cluster/tasks',
        {
          ...task,
          ...(maxAttempts === undefined ? {} : { max_attempts: maxAttempts }),
          ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
        },
        idempotencyKey ?? crypto.randomUUID(),
      ),
    task: (id) => get(`/cluster/tasks/${encodeURIComponent(id)}`),
    async tasks({ state, kind, limit = 100 } = {}) {
      const query = new URLSearchParams({ limit: String(limit) });
      if (state !== undefined) query.set('state', state);
      if (kind !== undefined) query.set('kind', kind);
      return (await get<{ tasks: ClusterTask[] }>(`/cluster/tasks?${query}`)).tasks;
    },
    cancelTask: (id) => send('DELETE', `/cluster/tasks/${encodeURIComponent(id)}`, undefined),
    async waitForTask(id, { signal, everyMs = 500 } = {}) {
      for (;;) {
        const found = await get<ClusterTask>(`/cluster/tasks/${encodeURIComponent(id)}`, undefined, signal).catch(
          (error: unknown) => {
            // The gateway that was asked may be ending; the task is in the store.
            if (error instanceof ClusterCallError && error.status === 0 && signal?.aborted !== true) return undefined;
            throw error;
          },
        );
        if (found !== undefined && OVER.has(found.state)) return found;
        await pause(everyMs, signal);
      }
    },
    async send(to, topic, body, idempotencyKey = crypto.randomUUID()) {
      const { sent_to } = await send<{ sent_to: number }>(
        'POST',
        '/cluster/messages',
        { to, topic, body },
        idempotencyKey,
      );
      return sent_to;
    },
    events: (after, waitSeconds) => events(after, waitSeconds),
    followEvents,
    rollouts: async () => (await get<{ rollouts: RolloutRecord[] }>('/cluster/rollouts')).rollouts,
    rollout: (id) => get(`/cluster/rollouts/${encodeURIComponent(id)}`),
    abortRollout: (id, reason) => send('POST', `/cluster/rollouts/${encodeURIComponent(id)}/abort`, { reason }),
    versions: async () => (await get<{ versions: VersionRecord[] }>('/cluster/versions')).versions,
    difference: (version, from) =>
      get(`/cluster/versions/${version}/difference${from === undefined ? '' : `?from=${from}`}`),
    rollOut: ({ watchMs, waveWatchMs, judgeWithinMs, canaryShare, ...change }) =>
      send('POST', '/cluster/rollouts', {
        ...change,
        ...(watchMs === undefined ? {} : { watch_ms: watchMs }),
        ...(waveWatchMs === undefined ? {} : { wave_watch_ms: waveWatchMs }),
        ...(judgeWithinMs === undefined ? {} : { judge_within_ms: judgeWithinMs }),
        ...(canaryShare === undefined ? {} : { canary_share: canaryShare }),
      }),
    async createJoinToken({ labels = {}, uses = 1, ttlMs = 3_600_000 } = {}) {
      const wanted = { labels, uses, ttl_ms: ttlMs };
      return await send<MadeJoinToken>('POST', '/cluster/tokens', wanted);
    },
    joinTokens: async () => (await get<{ tokens: JoinTokenRecord[] }>('/cluster/tokens')).tokens,
    async revokeJoinToken(id) {
      await send('DELETE', `/cluster/tokens/${encodeURIComponent(id)}`, undefined);
    },
  };
}
