/**
 * A fog node: a process that joins the gateway's cluster, does what work it is given, and says hello to the other nodes
 * to know how far away they are. Each piece of work it has done is paid with a token.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { cpus, loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
// In a project of your own: import { joinCluster } from 'gatehouse/cluster';
import { type ClusterWorker, joinCluster } from '../../../src/cluster-client/index.ts';

const HELLO_EVERY_MS = 2_000;
const [RETRY_MS, WAITING] = [500, 10];

export interface FogNode {
  readonly name: string;
  close(): Promise<void>;
}

export interface NodeOptions {
  readonly name: string;
  readonly gateway: string;
  /** Where a join token is had, and what for. */
  readonly fog: string;
  readonly secret: string;
  readonly signal?: AbortSignal;
}

export async function startNode({ name, gateway, fog, secret, signal }: NodeOptions): Promise<FogNode> {
  const peers = new Map<string, { rtt_ms: number; at: string }>();
  const sent = new Map<string, number>();
  let worker: ClusterWorker | undefined;
  const joinToken = await tokenOf(fog, secret, signal);
  worker = await joinCluster({
    url: gateway,
    joinToken,
    name,
    labels: { does: 'fog', node: name },
    capacity: 2,
    run({ kind, payload }) {
      if (kind !== 'fog-work') throw Object.assign(new Error(`this node does not know ${kind}`), { final: true });
      const { seed, rounds } = payload as { seed: string; rounds: number };
      const startedMs = performance.now();
      let digest = createHash('sha256').update(seed).digest();
      for (let round = 1; round < rounds; round++) digest = createHash('sha256').update(digest).digest();
      const tookMs = performance.now() - startedMs;
      return {
        node: name,
        digest: digest.toString('hex'),
        resources: {
          hashes_per_second: Math.round((rounds / Math.max(tookMs, 0.01)) * 1_000),
          processors: cpus().length,
          load: Number(loadavg()[0]!.toFixed(2)),
          memory_mb: Math.round(process.memoryUsage.rss() / 1024 ** 2),
        },
        peers: Object.fromEntries(peers),
      };
    },
    async onMessage({ topic, body }) {
      const { from, id } = body as { from: string; id: string };
      if (from === name) return;
      if (topic === 'hello') await worker?.send('all', 'welcome', { from: name, to: from, id });
      const at = sent.get(id);
      if (topic === 'welcome' && at !== undefined && (body as { to: string }).to === name)
        peers.set(from, { rtt_ms: Math.round(performance.now() - at), at: new Date().toISOString() });
    },
  });
  const ended = new AbortController();
  const saying = (async () => {
    while (!ended.signal.aborted) {
      const id = crypto.randomUUID();
      // Only the last few wait for welcomes.
      for (const old of [...sent.keys()].slice(0, -WAITING)) sent.delete(old);
      sent.set(id, performance.now());
      await worker.send('all', 'hello', { from: name, id }).catch(() => 0);
      await delay(HELLO_EVERY_MS, undefined, { signal: ended.signal }).catch(() => {});
    }
  })();
  return {
    name,
    async close() {
      ended.abort();
      await saying;
      await worker.close({ timeoutMs: 2_000 });
    },
  };
}

/** Asks until the service is there and the gateway gives one. */
async function tokenOf(fog: string, secret: string, signal?: AbortSignal): Promise<string> {
  for (;;) {
    const response = await fetch(`${fog}/join`, {
      method: 'POST',
      headers: { 'X-Fog-Secret': secret },
      signal: signal ?? null,
    }).catch(() => undefined);
    const body = (await response?.json().catch(() => ({}))) as { token?: string } | undefined;
    if (body?.token !== undefined) return body.token;
    signal?.throwIfAborted();
    await delay(RETRY_MS, undefined, { signal });
  }
}

if (import.meta.main) {
  const {
    NODE_NAME = 'fog-1',
    GATEWAY = 'http://127.0.0.1:8000',
    FOG_URL = '',
    FOG_SECRET = '',
    PORT = '0',
  } = process.env;
  const ended = new AbortController();
  let node: FogNode | undefined;
  // Says whether it has joined; the work comes from the gateway.
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ node: NODE_NAME, joined: node !== undefined }));
  }).listen(Number(PORT), '127.0.0.1');
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      ended.abort();
      server.close();
      void (node?.close() ?? Promise.resolve()).then(() => process.exit(0));
    });
  node = await startNode({ name: NODE_NAME, gateway: GATEWAY, fog: FOG_URL, secret: FOG_SECRET, signal: ended.signal });
}
