/**
 * A cluster of real processes that things are done to, with callers who count: each node has a line of its own to the
 * store, which can be cut, and a clock that can be set. For the tests of failures and for the drill.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClusterClient } from '../../src/cluster-client/index.ts';
import type { ClusterTables } from '../../src/control/cluster/tables.ts';
import { openStore, type Store } from '../../src/control/store/store.ts';
import { type ClusterProcess, clientOf, startNode, waitFor } from './cluster-nodes.ts';
import { CutLine } from './cut-line.ts';
import { startPostgres } from './postgres.ts';
import type { Scope } from './scope.ts';

export type StoreKind = 'SQLite' | 'PostgreSQL';
const CLOCK_STEP = fileURLToPath(new URL('./clock-step.ts', import.meta.url));
/** The first one by name is the canary; the last one is started first and so becomes the queen. */
const NAMES = ['a', 'b', 'c'] as const;

export interface SceneWishes {
  readonly store: StoreKind;
  /** Keys of `cluster` besides those that a test needs to be quick. */
  readonly cluster?: Readonly<Record<string, unknown>>;
  /** Other keys of the document of every node. */
  readonly document?: Readonly<Record<string, unknown>>;
}

export class ClusterScene {
  readonly folder: string;
  /** Straight to the store, past all lines. */
  readonly db: Store<ClusterTables>;
  readonly #scope: Scope;
  readonly #wishes: SceneWishes;
  readonly #storeUrl: string;
  readonly #server: Awaited<ReturnType<typeof startPostgres>> | null;
  readonly #lines = new Map<string, CutLine>();
  readonly #nodes = new Map<string, ClusterProcess>();

  static async open(scope: Scope, wishes: SceneWishes): Promise<ClusterScene> {
    const folder = await mkdtemp(join(tmpdir(), 'gh-cluster-'));
    scope.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
    const server = wishes.store === 'PostgreSQL' ? await startPostgres() : null;
    if (server !== null) scope.after(() => server.stop());
    const url = server === null ? `sqlite:${join(folder, 'cluster.db')}` : await server.database('cluster');
    const first = new ClusterScene(scope, wishes, folder, url, server, undefined as never);
    await first.start('c');
    const db = await openStore<ClusterTables>(url, { maxConnections: 2 });
    scope.after(() => db.close());
    const scene = new ClusterScene(scope, wishes, folder, url, server, db);
    for (const [name, line] of first.#lines) scene.#lines.set(name, line);
    for (const [name, node] of first.#nodes) scene.#nodes.set(name, node);
    await scene.queen();
    await Promise.all([scene.start('a'), scene.start('b')]);
    await scene.isWhole();
    return scene;
  }

  private constructor(
    scope: Scope,
    wishes: SceneWishes,
    folder: string,
    storeUrl: string,
    server: Awaited<ReturnType<typeof startPostgres>> | null,
    db: Store<ClusterTables>,
  ) {
    this.#scope = scope;
    this.#wishes = wishes;
    this.folder = folder;
    this.#storeUrl = storeUrl;
    this.#server = server;
    this.db = db;
  }

  get nodes(): readonly ClusterProcess[] {
    return NAMES.flatMap((name) => this.#nodes.get(name) ?? []);
  }

  node(name: string): ClusterProcess {
    const found = this.#nodes.get(name);
    if (found === undefined) throw new TypeError(`there is no node ${name}`);
    return found;
  }

  othersThan(...names: readonly string[]): readonly ClusterProcess[] {
    return this.nodes.filter(({ name }) => !names.includes(name));
  }

  client(...nodes: readonly ClusterProcess[]): ClusterClient {
    return clientOf(nodes.length === 0 ? this.nodes : nodes);
  }

  async start(name: string): Promise<ClusterProcess> {
    const node = await startNode(this.#scope, this.folder, name, {
      store: await this.#storeOf(name),
      cluster: {
        suspectAfter: '10s',
        goneAfter: '30s',
        lease: '4s',
        rollout: { watch: '1s', timeout: '60s', waves: ['60%', '100%'] },
        ...this.#wishes.cluster,
      },
      document: this.#wishes.document ?? {},
      env: {
        NODE_OPTIONS: `--import=${CLOCK_STEP}`,
        TEST_CLOCK_FILE: this.#clockFile(name),
      },
    });
    this.#nodes.set(name, node);
    return node;
  }

  async #storeOf(name: string): Promise<string> {
    if (this.#server === null) return this.#storeUrl;
    const { hostname, port } = new URL(this.#storeUrl);
    const line = this.#lines.get(name) ?? (await CutLine.to(hostname, Number(port)));
    if (!this.#lines.has(name)) this.#scope.after(() => line.close());
    this.#lines.set(name, line);
    return this.#storeUrl.replace(`:${port}/`, `:${line.port}/`);
  }

  // --- what is done to it ------------------------------------------------------------------------------------------

  /** kill -9; resolves when it is gone. */
  async kill(name: string): Promise<void> {
    const { child } = this.node(name);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  line(name: string): CutLine {
    const line = this.#lines.get(name);
    if (line === undefined) throw new TypeError('only lines to PostgreSQL can be cut');
    return line;
  }

  /** The time of day of the node alone is off by so much. */
  setClock(name: string, shiftMs: number): void {
    writeFileSync(this.#clockFile(name), String(shiftMs));
  }

  #clockFile(name: string): string {
    return join(this.folder, `${name}.clock`);
  }

  async haltStore(): Promise<void> {
    await this.#server?.halt();
  }

  async startStore(): Promise<void> {
    await this.#server?.start();
  }

  // --- what is seen of it --------------------------------------------------------------------------------------------

  /** Name of the queen, once there is one other than `than`, as these nodes see it. */
  async queen(than?: string, seenBy: readonly ClusterProcess[] = this.nodes): Promise<string> {
    const status = await waitFor(
      () => clientOf(seenBy).status(),
      ({ queen }) => queen !== null && queen !== than,
      than === undefined ? 'a queen' : `another queen than ${than}`,
    );
    return status.queen ?? '';
  }

  async isWhole(): Promise<void> {
    await waitFor(
      () => this.client().status(),
      ({ queen, nodes }) => queen !== null && nodes['alive'] === NAMES.length,
      'all nodes are alive and there is a queen',
    );
  }

  /** The state of a rollout as the store has it now. */
  async stateOf(rollout: string): Promise<string> {
    const row = await this.db.db
      .selectFrom('cluster_rollouts')
      .select('state')
      .where('id', '=', rollout)
      .executeTakeFirstOrThrow();
    return row.state;
  }

  /** True in the state, a moment after it has begun; false when the rollout is over without having been seen in it. */
  async reaches(rollout: string, state: string): Promise<boolean> {
    const giveUpMs = performance.now() + 120_000;
    for (;;) {
      const now = await this.stateOf(rollout);
      if (now === state) return true;
      if (OVER.includes(now)) return false;
      if (performance.now() > giveUpMs) throw new Error(`it is ${now}, and was to be ${state}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async end(rollout: string): Promise<{ readonly state: string; readonly reason: string }> {
    const row = await waitFor(
      () =>
        this.db.db
          .selectFrom('cluster_rollouts')
          .select(['state', 'reason'])
          .where('id', '=', rollout)
          .executeTakeFirstOrThrow(),
      ({ state }) => OVER.includes(state),
      'the rollout ends',
      120_000,
    );
    return { state: row.state, reason: row.reason ?? '' };
  }

  /** Events of the queens after this id: all of them carry the epoch of who wrote them. */
  async epochsAfter(id: number): Promise<readonly number[]> {
    const rows = await this.db.db
      .selectFrom('cluster_events')
      .select('epoch')
      .where('id', '>', id)
      .where('epoch', 'is not', null)
      .orderBy('id')
      .execute();
    return rows.map(({ epoch }) => Number(epoch));
  }

  async eventsAfter(id: number): Promise<readonly string[]> {
    const rows = await this.db.db.selectFrom('cluster_events').select('type').where('id', '>', id).execute();
    return rows.map(({ type }) => type);
  }

  async lastEvent(): Promise<number> {
    const row = await this.db.db
      .selectFrom('cluster_events')
      .select(({ fn }) => fn.max('id').as('id'))
      .executeTakeFirstOrThrow();
    return Number(row.id);
  }

  /** All of these nodes answer with this body. */
  async answers(body: string, nodes: readonly ClusterProcess[] = this.nodes): Promise<void> {
    for (const { url, name } of nodes)
      await waitFor(
        async () => (await fetch(`${url}/hello`)).text(),
        (text) => text === body,
        `${name} answers ${body}`,
        60_000,
      );
  }
}

const OVER = ['done', 'rejected', 'rolled-back'];
