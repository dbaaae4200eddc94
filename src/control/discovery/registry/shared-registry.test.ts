/** Registries of several nodes over one store of facts that a test can take away; time is the test's. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeTimers } from '../../../../test/support/fake-timers.ts';
import { createLogger } from '../../../base/log.ts';
import { type FactCarrier, Facts, LEAST_KEPT_MS } from '../../facts.ts';
import { knownMs } from './known-time.ts';
import type { Lease, Registration, RegistrationRules, RegistrySettings } from './leases.ts';
import { Registry } from './registry.ts';
import { LEASE_FACT, RENEWAL_GATHER_MS, SharedRegistry } from './shared-registry.ts';
import { memoryStore } from './store.ts';

const SETTINGS: RegistrySettings = {
  leaseMs: { default: 30_000, min: 5_000, max: 3_600_000 },
  restartGraceMs: 30_000,
  damping: { after: 2, holdMs: 10_000, maxHoldMs: 40_000, windowMs: 600_000 },
};
const RULES: RegistrationRules = { allow: [], maxInstances: 2 };
const LOOK_MS = 800;

const at = (url: string, leaseMs = 30_000): Registration => ({ url, weight: 1, zone: null, metadata: {}, leaseMs });

interface Row {
  readonly key: string;
  readonly value: unknown;
  readonly toldMs: number;
  readonly keptMs: number;
  readonly by: FactCarrier;
  readonly seq: number;
}

/** What the store has; each node of it looks every 0.8 s. */
class Board {
  readonly timers = new FakeTimers();
  readonly rows = new Map<string, Row>();
  isAway = false;
  seq = 0;

  carrierFor(facts: Facts): FactCarrier {
    const waiting = new Map<string, { readonly value: unknown; readonly keptMs: number }>();
    let last = 0;
    let readMs: number | null = null;
    let isBehind = true;
    const { timers, rows } = this;
    const now = () => timers.clock.monotonicMs();
    const deliver = (row: Row): void => {
      if (row.by === carrier || now() >= row.toldMs + Math.max(row.keptMs, LEAST_KEPT_MS)) return;
      // A row leaves the store as text.
      const value: unknown = JSON.parse(JSON.stringify(row.value));
      facts.deliver(LEASE_FACT, { key: row.key, value, ageMs: now() - row.toldMs, node: 'another' });
    };
    const turn = (): boolean => {
      if (this.isAway) {
        isBehind = true;
        return false;
      }
      for (const [key, told] of waiting) rows.set(key, { key, ...told, toldMs: now(), by: carrier, seq: ++this.seq });
      waiting.clear();
      for (const row of [...rows.values()].sort((a, b) => a.seq - b.seq)) if (row.seq > last) deliver(row);
      last = this.seq;
      readMs = now();
      if (!isBehind) return true;
      isBehind = false;
      facts.caughtUp();
      return true;
    };
    const carrier: FactCarrier = {
      async tell(_topic, key, value, keptMs) {
        waiting.set(key, { value, keptMs });
        return turn();
      },
      replay: () => {
        for (const row of rows.values()) if (row.seq <= last) deliver(row);
      },
      catchUp: async () => turn(),
      isWaiting: (_topic, key) => waiting.has(key),
      get readMs() {
        return isBehind ? null : readMs;
      },
    };
    const look = (): void => {
      turn();
      timers.after(LOOK_MS, look);
    };
    timers.after(LOOK_MS, look);
    return carrier;
  }

  async node(isReached = true): Promise<Node> {
    const facts = new Facts();
    facts.expectCarrier();
    const node = await Node.open(this, facts);
    if (isReached) node.reach();
    await this.timers.advance(LOOK_MS);
    return node;
  }
}

class Node {
  readonly shared: SharedRegistry;
  readonly facts: Facts;
  readonly lines: string[];
  readonly #board: Board;
  readonly #registry: Registry;

  private constructor(board: Board, facts: Facts, registry: Registry, lines: string[]) {
    const { timers } = board;
    this.#board = board;
    this.facts = facts;
    this.lines = lines;
    this.#registry = registry;
    const log = createLogger('info', (line) => lines.push(JSON.parse(line).message));
    this.shared = new SharedRegistry({ registry, facts, clock: timers.clock, timers, log });
    this.configure(new Map([['orders', RULES]]));
  }

  static async open(board: Board, facts: Facts): Promise<Node> {
    const { timers } = board;
    const lines: string[] = [];
    const log = createLogger('info', (line) => lines.push(JSON.parse(line).message));
    const parts = { store: memoryStore(), clock: timers.clock, timers, log };
    const registry = await Registry.open({ ...parts, knownMs: () => knownMs(facts, timers.clock) }, SETTINGS);
    return new Node(board, facts, registry, lines);
  }

  configure(services: ReadonlyMap<string, RegistrationRules>, settings = SETTINGS): void {
    this.#registry.configure(settings, services);
    this.shared.configured();
  }

  reach(): void {
    this.facts.carryBy(this.#board.carrierFor(this.facts));
  }

  async register(url: string, leaseMs?: number): Promise<Lease> {
    const result = await this.shared.register('orders', at(url, leaseMs));
    assert.ok(result.ok, JSON.stringify(result));
    return result.lease;
  }

  /** Whether the heartbeat was taken, or why not. */
  async beat(id: string): Promise<string> {
    const found = await this.shared.heartbeat('orders', id, {});
    return typeof found === 'string' ? found : 'taken';
  }

  get urls(): string[] {
    return (this.shared.list('orders') ?? []).map(({ url }) => url);
  }

  overdue(): number {
    return this.#registry.overdue('orders');
  }
}

async function nodes(count: number): Promise<[Board, ...Node[]]> {
  const board = new Board();
  const made: Node[] = [];
  for (let i = 0; i < count; i++) made.push(await board.node());
  return [board, ...made];
}

/** A node that there is. */
const is = (node: Node | undefined): Node => {
  assert.ok(node);
  return node;
};

describe('registry of a cluster', () => {
  it('knows at each node who registered at any, and takes heartbeats and farewells at any', async () => {
    const [board, a, b, c] = await nodes(3);
    const lease = await is(a).register('http://a:1');
    await board.timers.advance(LOOK_MS);
    assert.deepEqual([is(b).urls, is(c).urls], [['http://a:1'], ['http://a:1']]);
    // Only B gets heartbeats: none drops it, for five lengths of the lease.
    for (let round = 0; round < 15; round++) {
      await board.timers.advance(10_000);
      assert.equal(await is(b).beat(lease.id), 'taken');
      for (const node of [a, b, c]) assert.deepEqual(is(node).urls, ['http://a:1'], `round ${round}`);
    }
    assert.equal(await is(c).shared.remove('orders', lease.id), true);
    await board.timers.advance(LOOK_MS);
    for (const node of [a, b, c]) assert.deepEqual(is(node).urls, []);
    assert.equal(await is(a).beat(lease.id), 'none');
  });

  it('takes a heartbeat, a farewell and the same URL at a node that has not heard of the lease yet', async () => {
    const [, a, b] = await nodes(2);
    const first = await is(a).register('http://a:1');
    assert.equal(await is(b).beat(first.id), 'taken');
    const again = await is(b).shared.register('orders', at('http://a:1'));
    assert.ok(again.ok && !again.isNew);
    const other = await is(a).register('http://b:1');
    assert.equal(await is(b).shared.remove('orders', other.id), true);
  });

  it('ends a lease once, at every node, when no node gets its heartbeats', async () => {
    const [board, a, b] = await nodes(2);
    const lease = await is(a).register('http://a:1');
    await board.timers.advance(10_000);
    assert.equal(await is(b).beat(lease.id), 'taken');
    await board.timers.advance(30_000 + RENEWAL_GATHER_MS - LOOK_MS);
    assert.deepEqual([is(a).urls, is(b).urls], [['http://a:1'], ['http://a:1']], 'it might have been renewed');
    await board.timers.advance(5_000);
    assert.deepEqual([is(a).urls, is(b).urls], [[], []]);
    for (const node of [a, b])
      assert.equal(is(node).lines.filter((line) => line === 'instance removed: heartbeat lost').length, 1);
    await board.timers.advance(60_000);
    const late = await board.node();
    assert.deepEqual(late.urls, [], 'who joins later does not take it for alive');
  });

  it('drops none while the store is away, and gives each a whole length afterwards', async () => {
    const [board, a, b] = await nodes(2);
    const [dead, alive] = [await is(a).register('http://dead:1'), await is(a).register('http://alive:1')];
    await board.timers.advance(LOOK_MS);
    board.isAway = true;
    await board.timers.advance(300_000);
    assert.deepEqual([is(a).urls.length, is(b).urls.length], [2, 2]);
    assert.equal(is(b).overdue(), 2);
    assert.equal(await is(b).beat(alive.id), 'taken');
    assert.equal(await is(b).beat('nobody'), 'unsure', 'it does not deny what another node may have');
    board.isAway = false;
    await board.timers.advance(20_000);
    assert.equal(await is(b).beat(alive.id), 'taken');
    await board.timers.advance(20_000);
    assert.deepEqual([is(a).urls, is(b).urls], [['http://alive:1'], ['http://alive:1']]);
    assert.equal(await is(b).beat(dead.id), 'none');
  });

  it('tells what it took and what left while the store was away, also before it was reached at all', async () => {
    const board = new Board();
    const a = await board.node();
    const gone = await a.register('http://gone:1');
    const b = await board.node(false);
    board.isAway = true;
    await b.register('http://b:1');
    assert.equal(await a.shared.remove('orders', gone.id), true);
    assert.deepEqual([a.urls, b.urls], [[], ['http://b:1']]);
    b.reach();
    await board.timers.advance(60_000);
    assert.deepEqual([a.urls, b.urls], [[], ['http://b:1']], 'no lease ends before the store was reached');
    board.isAway = false;
    await board.timers.advance(3 * LOOK_MS);
    assert.deepEqual([a.urls, b.urls], [['http://b:1'], ['http://b:1']]);
  });

  it('counts comebacks together: an address that flaps over several nodes is held back at all', async () => {
    const [board, a, b, c] = await nodes(3);
    for (const node of [a, b]) {
      const { id } = await is(node).register('http://a:1');
      await is(node).shared.remove('orders', id);
      await board.timers.advance(LOOK_MS);
    }
    assert.equal((await is(c).register('http://a:1')).state, 'held');
    await board.timers.advance(LOOK_MS);
    const seen = [a, b, c].map((node) => is(node).shared.list('orders')?.[0]);
    assert.deepEqual(
      seen.map((lease) => [lease?.state, lease?.comebacks]),
      Array.from({ length: 3 }, () => ['held', 2]),
    );
    const ends = seen.map((lease) => lease?.heldUntilMs ?? 0);
    assert.equal(Math.max(...ends), Math.min(...ends));
    await board.timers.advance(10_000);
    assert.deepEqual(
      [a, b, c].map((node) => is(node).shared.list('orders')?.[0]?.state),
      ['active', 'active', 'active'],
    );
  });

  it('bounds the instances of a service over all nodes', async () => {
    const [, a, b] = await nodes(2);
    await is(a).register('http://a:1');
    await is(a).register('http://b:1');
    assert.deepEqual(await is(b).shared.register('orders', at('http://c:1')), { ok: false, refusal: 'full', most: 2 });
  });

  it('one URL at two nodes at once: both agree on the lease that was told last', async () => {
    const [board, a, b] = await nodes(2);
    board.isAway = true;
    const [one, two] = [await is(a).register('http://a:1'), await is(b).register('http://a:1')];
    board.isAway = false;
    await board.timers.advance(3 * LOOK_MS);
    const ids = [a, b].map((node) =>
      is(node)
        .shared.list('orders')
        ?.map(({ id }) => id),
    );
    assert.deepEqual(ids[0], ids[1]);
    assert.ok(ids[0]?.length === 1 && [one.id, two.id].includes(ids[0][0] ?? ''));
  });

  it('a heartbeat that is told after the farewell does not bring the lease back', async () => {
    const [board, a, b] = await nodes(2);
    const { id } = await is(a).register('http://a:1');
    await board.timers.advance(LOOK_MS);
    assert.equal(await is(b).beat(id), 'taken');
    assert.equal(await is(a).shared.remove('orders', id), true);
    await board.timers.advance(3 * LOOK_MS);
    assert.deepEqual([is(a).urls, is(b).urls], [[], []]);
    const late = await board.node();
    assert.deepEqual(late.urls, []);
  });

  it('the end of a long lease is known for as long as the lease, to a node that starts after it too', async () => {
    const [board, a, b] = await nodes(2);
    const { id } = await is(a).register('http://a:1', SETTINGS.leaseMs.max);
    await board.timers.advance(LOOK_MS);
    assert.equal(await is(b).beat(id), 'taken');
    assert.equal(await is(a).shared.remove('orders', id), true);
    await board.timers.advance(LEAST_KEPT_MS + 60_000);
    const late = await board.node();
    assert.deepEqual([is(a).urls, is(b).urls, late.urls], [[], [], []]);
  });

  it('the end of a lease that is longer than a reload allows since is known for as long as that lease', async () => {
    const [board, a, b] = await nodes(2);
    const left = await is(a).register('http://left:1', SETTINGS.leaseMs.max);
    const former = await is(a).register('http://again:1', SETTINGS.leaseMs.max);
    await board.timers.advance(LOOK_MS);
    const shorter = { ...SETTINGS, leaseMs: { ...SETTINGS.leaseMs, max: 60_000 } };
    for (const node of [a, b]) is(node).configure(new Map([['orders', RULES]]), shorter);
    assert.equal(await is(b).shared.remove('orders', left.id), true);
    const again = await is(b).register('http://again:1', 60_000);
    assert.equal(await is(a).shared.remove('orders', again.id), true);
    await board.timers.advance(LEAST_KEPT_MS + 60_000);
    const late = await board.node();
    assert.deepEqual([is(a).urls, is(b).urls, late.urls], [[], [], []]);
    assert.equal(await late.beat(former.id), 'none');
  });

  it('a heartbeat of the process before, told after the new one registered, does not push it out', async () => {
    const [board, a, b] = await nodes(2);
    const former = await is(a).register('http://a:1');
    await board.timers.advance(LOOK_MS - 100);
    assert.equal(await is(b).beat(former.id), 'taken');
    const { id } = await is(a).register('http://a:1');
    await board.timers.advance(3 * LOOK_MS);
    for (const node of [a, b]) {
      assert.deepEqual(
        is(node)
          .shared.list('orders')
          ?.map((lease) => lease.id),
        [id],
      );
    }
    assert.equal(await is(b).beat(former.id), 'none');
    assert.equal(await is(b).beat(id), 'taken');
  });

  it('learns the leases of a service that takes registrations only since a reload', async () => {
    const [board, a, b] = await nodes(2);
    is(a).configure(
      new Map([
        ['orders', RULES],
        ['bills', RULES],
      ]),
    );
    assert.ok((await is(a).shared.register('bills', at('http://a:1'))).ok);
    await board.timers.advance(LOOK_MS);
    assert.equal(is(b).shared.list('bills'), undefined);
    is(b).configure(
      new Map([
        ['orders', RULES],
        ['bills', RULES],
      ]),
    );
    assert.equal(is(b).shared.list('bills')?.length, 1);
  });

  it('takes no address that this node must not call, and nothing that is no lease', async () => {
    const [board, a, b] = await nodes(2);
    is(b).configure(new Map([['orders', { ...RULES, allow: ['10.0.0.0/8'] }]]));
    await is(a).register('http://11.0.0.1:1');
    void is(a).facts.tell(LEASE_FACT, 'orders x', { service: 'orders', url: 7 }, 1_000);
    await board.timers.advance(LOOK_MS);
    assert.deepEqual(is(b).urls, []);
    assert.ok(is(b).lines.includes('an instance that registered at another node is not taken'));
    assert.ok(is(b).lines.includes('a registration of another node cannot be read'));
  });

  it('does not take what it is about to replace: its own lease waits for the store and will be the later one', async () => {
    const [board, a, b] = await nodes(2);
    await is(a).register('http://a:1');
    // B has not looked since, and would take it for a lease of the same URL at another node.
    const [row] = [...board.rows.values()];
    assert.ok(row);
    board.isAway = true;
    const own = await is(b).register('http://a:1');
    is(b).facts.deliver(LEASE_FACT, { key: row.key, value: row.value, ageMs: 1, node: 'a' });
    assert.deepEqual(
      is(b)
        .shared.list('orders')
        ?.map(({ id }) => id),
      [own.id],
    );
    board.isAway = false;
    await board.timers.advance(3 * LOOK_MS);
    assert.equal(is(a).shared.list('orders')?.[0]?.id, own.id);
  });

  it('gathers heartbeats: those of half a second are told together, each lease once', async () => {
    const [board, a, b] = await nodes(2);
    const { id } = await is(a).register('http://a:1');
    const before = board.seq;
    for (let i = 0; i < 20; i++) assert.equal(await is(b).beat(id), 'taken');
    await board.timers.advance(RENEWAL_GATHER_MS);
    assert.equal(board.seq, before + 1);
  });
});

it('a registry without a cluster denies what it does not know, and ends leases by itself', async () => {
  const board = new Board();
  const node = await Node.open(board, new Facts());
  await node.register('http://a:1');
  assert.equal(await node.beat('nobody'), 'none');
  await board.timers.advance(30_000);
  assert.deepEqual(node.urls, []);
  assert.equal(board.seq, 0);
});
