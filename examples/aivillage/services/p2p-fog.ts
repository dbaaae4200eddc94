/**
 * P2P and fog: the nodes of the gateway's cluster with what they have and are doing, how they reach one another, and
 * the ledger that pays them. Gives each node that asks, and knows the secret, a token to join with.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import type { Hono } from 'hono';
// In a project of your own: import { clusterClient } from 'gatehouse/cluster';
import { type ClusterClient, type ClusterNodeRecord, clusterClient } from '../../../src/cluster-client/index.ts';
import { callerOf, createApp, endOnSignal, Refusal, type Running, run } from '../../shared/service.ts';
import { Ledger, MINT, TREASURY } from './ledger.ts';

const [WORK_EVERY_MS, WORK_TIMEOUT_MS, ROUNDS, PAY] = [1_000, 10_000, 2_000, 1];
/** Nodes, for so long without asking the gateway again. */
const FRESH_MS = 500;

interface Report {
  readonly node: string;
  readonly digest: string;
  readonly resources: Readonly<Record<string, number>>;
  readonly peers: Readonly<Record<string, { readonly rtt_ms: number; readonly at: string }>>;
}

interface Known {
  done: number;
  wrong: number;
  report: Report;
}

export class Fog {
  readonly cluster: ClusterClient;
  readonly ledger: Ledger;
  readonly #known = new Map<string, Known>();
  #nodes: { at: number; list: Promise<readonly ClusterNodeRecord[]> } | undefined;

  constructor(cluster: ClusterClient, ledger: Ledger) {
    this.cluster = cluster;
    this.ledger = ledger;
  }

  async nodes(): Promise<readonly ClusterNodeRecord[]> {
    const now = performance.now();
    if (this.#nodes === undefined || now - this.#nodes.at > FRESH_MS)
      this.#nodes = { at: now, list: this.cluster.nodes() };
    try {
      return (await this.#nodes.list).filter(({ kind, labels }) => kind === 'worker' && labels['does'] === 'fog');
    } catch {
      this.#nodes = undefined;
      throw new Refusal(503, 'SERVICE_UNAVAILABLE', 'the cluster cannot be asked right now');
    }
  }

  known(name: string): Known | undefined {
    return this.#known.get(name);
  }

  /** One piece of work for a node, checked and paid. */
  async work(node: string, signal: AbortSignal): Promise<void> {
    const seed = randomBytes(16).toString('hex');
    const { id } = await this.cluster.createTask({
      kind: 'fog-work',
      payload: { seed, rounds: ROUNDS },
      selector: { does: 'fog', node },
      timeoutMs: 5_000,
    });
    // A node may go before it has begun.
    const late = AbortSignal.any([signal, AbortSignal.timeout(WORK_TIMEOUT_MS)]);
    const { state, result } = await this.cluster
      .waitForTask(id, { everyMs: 100, signal: late })
      .catch(() => this.cluster.cancelTask(id));
    if (state !== 'done') return;
    const report = result as Report;
    const known = this.#known.get(report.node) ?? { done: 0, wrong: 0, report };
    this.#known.set(report.node, known);
    known.report = report;
    if (report.digest !== chain(seed)) {
      known.wrong++;
      return;
    }
    known.done++;
    this.ledger.move(TREASURY, `node:${report.node}`, PAY, `task ${id}`);
  }
}

function chain(seed: string): string {
  let digest = createHash('sha256').update(seed).digest();
  for (let round = 1; round < ROUNDS; round++) digest = createHash('sha256').update(digest).digest();
  return digest.toString('hex');
}

export function createP2pFog(fog: Fog, secret: string): Hono {
  const app = createApp('p2p-fog', 'flat');
  // For nodes, on the service's own port only: the gateway has no route that leads here.
  app.post('/join', async (context) => {
    const [given, wanted] = [context.req.header('x-fog-secret') ?? '', secret].map((text) =>
      createHash('sha256').update(text).digest(),
    );
    if (!timingSafeEqual(given!, wanted!))
      throw new Refusal(401, 'AUTHENTICATION_REQUIRED', 'the secret is another one');
    const { token } = await fog.cluster.createJoinToken().catch(() => {
      // Nodes ask again until the gateway is there.
      throw new Refusal(503, 'SERVICE_UNAVAILABLE', 'the gateway gives no join token right now');
    });
    return context.json({ token }, 201);
  });
  app.get('/v1/fog/nodes', async (context) => {
    callerOf(context);
    const nodes = (await fog.nodes()).map((node) => {
      const known = fog.known(node.name);
      return {
        id: node.id,
        name: node.name,
        status: node.presence,
        state: node.state,
        joined_at: node.joined_at,
        capacity: node.capacity,
        resources: known?.report.resources ?? null,
        tasks_done: known?.done ?? 0,
        tasks_wrong: known?.wrong ?? 0,
        earned: fog.ledger.balance(`node:${node.name}`),
      };
    });
    return context.json({ success: true, nodes, alive: nodes.filter(({ status }) => status === 'alive').length });
  });
  app.get('/v1/p2p/status', async (context) => {
    callerOf(context);
    const alive = (await fog.nodes()).filter(({ presence }) => presence === 'alive');
    const names = new Set(alive.map(({ name }) => name));
    // Messages between nodes.
    const links = alive.flatMap(({ name }) =>
      Object.entries(fog.known(name)?.report.peers ?? {})
        .filter(([to]) => names.has(to))
        .map(([to, peer]) => ({ from: name, to, ...peer })),
    );
    const status = (connected: boolean): string => (connected ? 'connected' : 'disconnected');
    return context.json({
      success: true,
      // From node to node.
      bitchat: { status: status(links.length > 0), links },
      // From node to gateway.
      betanet: { status: status(alive.length > 0), peers: alive.map(({ name, seen_at }) => ({ name, seen_at })) },
      peers: alive.length,
    });
  });
  app.get('/v1/tokens', (context) => {
    const { id } = callerOf(context);
    const { ledger } = fog;
    return context.json({
      success: true,
      token: 'FOG',
      supply: -ledger.balance(MINT),
      treasury: ledger.balance(TREASURY),
      balance: ledger.balance(`user:${id}`),
      accounts: ledger.balances().filter(({ account }) => account.startsWith('node:')),
      balanced: ledger.isBalanced(),
      recent: ledger.entries(10),
    });
  });
  return app;
}

export interface FogOptions {
  readonly file: string;
  readonly port: number;
  readonly gateway: string;
  /** API key with the scope `cluster:admin`. */
  readonly key: string;
  readonly secret: string;
}

export async function startP2pFog({ file, port, gateway, key, secret }: FogOptions): Promise<Running> {
  const database = new DatabaseSync(file, { timeout: 5_000 });
  database.exec('PRAGMA journal_mode = WAL');
  const fog = new Fog(clusterClient({ url: gateway, apiKey: key }), new Ledger(database));
  const running = await run(createP2pFog(fog, secret), port);
  const ended = new AbortController();
  const working = (async () => {
    while (!ended.signal.aborted) {
      const nodes = await fog.nodes().catch(() => []);
      const alive = nodes.filter(({ presence, state }) => presence === 'alive' && state === 'active');
      await Promise.allSettled(alive.map(({ name }) => fog.work(name, ended.signal)));
      await delay(WORK_EVERY_MS, undefined, { signal: ended.signal }).catch(() => {});
    }
  })();
  return {
    ...running,
    async close() {
      ended.abort();
      await running.close();
      await working;
      database.close();
    },
  };
}

if (import.meta.main) {
  const { PORT = '0', FOG_KEY = '', FOG_SECRET = '', AIVILLAGE_DATA = '.' } = process.env;
  const running = await startP2pFog({
    file: `${AIVILLAGE_DATA}/fog.db`,
    port: Number(PORT),
    gateway: process.env['GATEWAY'] ?? 'http://127.0.0.1:8000',
    key: FOG_KEY,
    secret: FOG_SECRET,
  });
  endOnSignal(() => running.close());
}
