/**
 * The members of the cluster: who joined, who is alive, who takes work. A node joins with a join token (workers) or
 * with access to the store (gateways), sends heartbeats, and is `alive`, `suspect` or `gone` by how long ago the last
 * one was, on the database's clock. Cordon: no new tasks. Drain: no new tasks and no traffic. Called by the agent of a
 * gateway and by the API. Join tokens are in join-tokens.ts, the queen's part (what follows from a node being gone) in
 * queen.ts.
 */
import { randomUUID } from 'node:crypto';
import type { Selectable, Transaction } from 'kysely';
import { databaseNow, readDatabaseTime } from '../store/database-time.ts';
import type { Store } from '../store/store.ts';
import { addEvent } from './events.ts';
import { FACTS_SEQUENCE } from './fact-board.ts';
import { newToken, tokenHash, useJoinToken } from './join-tokens.ts';
import { ClusterRefusal, conflict, notFound } from './refusal.ts';
import type { ClusterTables, NodeRow } from './tables.ts';

export type NodeKind = 'gateway' | 'worker';
export type NodeState = 'active' | 'cordoned' | 'draining' | 'left';
export type Presence = 'alive' | 'suspect' | 'gone' | 'left';

export interface MemberSettings {
  readonly suspectMs: number;
  readonly goneMs: number;
  /** Nodes, of all kinds, that have not left and are not gone. */
  readonly maxNodes: number;
  /** Nodes that left, or are gone, are forgotten so long after their last sign of life. */
  readonly forgetMs: number;
}

export interface Traffic {
  readonly requests: number;
  /** Responses with a fault of a service or of the gateway itself. */
  readonly faults: number;
  /** Cumulative counts of the latency histogram. */
  readonly buckets: readonly number[];
  readonly workerRestarts: number;
}

export interface ClusterNode {
  readonly id: string;
  readonly name: string;
  readonly kind: NodeKind;
  readonly url: string | null;
  readonly zone: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: NodeState;
  readonly stateReason: string | null;
  readonly stateBy: string | null;
  readonly presence: Presence;
  readonly joinedAtMs: number;
  readonly seenAtMs: number;
  readonly incarnation: number;
  readonly software: string | null;
  readonly health: string;
  readonly load: Readonly<Record<string, number>>;
  readonly traffic: Traffic | null;
  readonly capacity: number;
  readonly appliedVersion: number;
  readonly wantedVersion: number;
  readonly applyProblem: string | null;
  readonly checkedVersion: number;
  readonly checkProblems: readonly string[] | null;
}

export interface NewNode {
  readonly name: string;
  readonly kind: NodeKind;
  readonly url: string | null;
  readonly zone: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly capacity: number;
  readonly software: string | null;
}

export interface Heartbeat {
  readonly health?: string | undefined;
  readonly load?: Readonly<Record<string, number>> | undefined;
  readonly capacity?: number | undefined;
  readonly traffic?: Traffic | undefined;
  readonly appliedVersion?: number | undefined;
  readonly applyProblem?: string | null | undefined;
  readonly checked?: { readonly version: number; readonly problems: readonly string[] | null } | undefined;
}

export interface OpenRollout {
  readonly version: number;
  /** Every node should check this version now. */
  readonly isChecked: boolean;
}

/** What the configuration says of a node that joins by certificate. */
export interface CertifiedNode {
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string | null;
}

/** States of a rollout that is under way; rollout.ts tells them. */
export const OPEN_ROLLOUT = ['checking', 'canary', 'watching', 'waves', 'rolling-back'] as const;

const KNOWN_MS = 10_000;
const MAX_KNOWN = 10_000;

export class Members {
  readonly #store: Store<ClusterTables>;
  #settings: MemberSettings;
  /** Node tokens, by hash. */
  readonly #known = new Map<string, { readonly id: string; readonly untilMs: number }>();

  constructor(store: Store<ClusterTables>, settings: MemberSettings) {
    this.#store = store;
    this.#settings = settings;
  }

  configure(settings: MemberSettings): void {
    this.#settings = settings;
  }

  // --- joining -------------------------------------------------------------------------------------------------------

  /**
   * A worker joins with a join token and gets a token of its own, shown once. A node of the same name whose heartbeats
   * have stopped is replaced; the name of a live one is refused.
   */
  async join(joinToken: string, wanted: NewNode): Promise<{ node: ClusterNode; token: string }> {
    const { dialect } = this.#store;
    const token = newToken('ghn');
    const node = await this.#store.transaction(async (trx) => {
      const now = await readDatabaseTime(trx, dialect);
      const said = await useJoinToken(trx, joinToken, now);
      // What the token says about the node wins: a node cannot give itself labels that others trust.
      const labels = { ...wanted.labels, ...said.labels };
      return await this.#put(trx, { ...wanted, labels, zone: said.zone ?? wanted.zone }, tokenHash(token), now);
    });
    return { node, token };
  }

  /**
   * A worker joins under the name in its certificate, which the gateway has looked at: who has it is that node, so the
   * row and token of a former process are taken from it at once. What the configuration says of the name wins.
   */
  async joinByCertificate(
    wanted: NewNode,
    known: CertifiedNode = { labels: {}, zone: null },
  ): Promise<{ node: ClusterNode; token: string }> {
    const token = newToken('ghn');
    const labels = { ...wanted.labels, ...known.labels };
    const node = await this.#store.transaction(async (trx) => {
      const now = await readDatabaseTime(trx, this.#store.dialect);
      const asked = { ...wanted, labels, zone: known.zone ?? wanted.zone };
      return await this.#put(trx, asked, tokenHash(token), now, true);
    });
    this.#known.clear();
    return { node, token };
  }

  /** A gateway joins by its access to the store. It takes its former row again, whatever became of that. */
  async joinGateway(wanted: NewNode): Promise<ClusterNode> {
    return await this.#store.transaction(async (trx) =>
      this.#put(trx, wanted, null, await readDatabaseTime(trx, this.#store.dialect)),
    );
  }

  async #put(
    trx: Transaction<ClusterTables>,
    wanted: NewNode,
    tokenHash: string | null,
    now: number,
    isProven = false,
  ): Promise<ClusterNode> {
    const { dialect } = this.#store;
    const former = await trx.selectFrom('cluster_nodes').selectAll().where('name', '=', wanted.name).executeTakeFirst();
    if (former !== undefined && wanted.kind !== former.kind)
      throw conflict('NAME_TAKEN', `${JSON.stringify(wanted.name)} is the name of a ${former.kind}`);
    if (former !== undefined && !isProven && wanted.kind === 'worker' && this.#presence(former, now) === 'alive')
      throw conflict('NAME_TAKEN', `a live node has the name ${JSON.stringify(wanted.name)}`);
    if (former === undefined) await this.#refuseWhenFull(trx);
    const { version } = await currentVersion(trx);
    const row = {
      name: wanted.name,
      kind: wanted.kind,
      url: wanted.url,
      zone: wanted.zone,
      labels: JSON.stringify(wanted.labels),
      token_hash: tokenHash,
      gone: 0,
      seen_at: now,
      software: wanted.software,
      health: 'starting',
      load: '{}',
      traffic: null,
      capacity: wanted.capacity,
      apply_problem: null,
    };
    const id = former?.id ?? randomUUID();
    if (former === undefined) {
      await trx
        .insertInto('cluster_nodes')
        .values({
          id,
          ...row,
          state: 'active',
          state_reason: null,
          state_by: null,
          joined_at: now,
          incarnation: 1,
          applied_version: 0,
          wanted_version: version,
          checked_version: 0,
          check_problems: null,
        })
        .execute();
    } else {
      const left = former.state === 'left' ? { state: 'active', state_reason: null, state_by: null } : {};
      await trx
        .updateTable('cluster_nodes')
        .set({ ...row, ...left, joined_at: now, incarnation: former.incarnation + 1, wanted_version: version })
        .where('id', '=', id)
        .execute();
    }
    await addEvent(trx, dialect, {
      type: 'node.joined',
      subject: id,
      data: { name: wanted.name, kind: wanted.kind, zone: wanted.zone },
    });
    const made = await trx.selectFrom('cluster_nodes').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    return this.#shown(made, now);
  }

  async #refuseWhenFull(trx: Transaction<ClusterTables>): Promise<void> {
    const { count } = await trx
      .selectFrom('cluster_nodes')
      .select(({ fn }) => fn.countAll().as('count'))
      .where('state', '<>', 'left')
      .where('gone', '=', 0)
      .executeTakeFirstOrThrow();
    if (Number(count) < this.#settings.maxNodes) return;
    throw conflict('CLUSTER_FULL', `the cluster holds at most ${this.#settings.maxNodes} nodes`);
  }

  /** The queen's: names of pods do not come back, and their rows would stay for ever. */
  async prune(trx: Transaction<ClusterTables>, now: number, epoch: number): Promise<void> {
    const forgotten = await trx
      .deleteFrom('cluster_nodes')
      .where('seen_at', '<', now - this.#settings.forgetMs)
      .where((where) => where.or([where('state', '=', 'left'), where('gone', '=', 1)]))
      .returning(['id', 'name'])
      .execute();
    for (const { id, name } of forgotten)
      await addEvent(trx, this.#store.dialect, { type: 'node.forgotten', subject: id, data: { name }, epoch });
  }

  // --- staying and leaving -------------------------------------------------------------------------------------------

  /** The id of the node whose token this is. Known ones are remembered for some seconds; heartbeats refuse at once. */
  async authenticate(token: string): Promise<string> {
    const hash = tokenHash(token);
    const nowMs = performance.now();
    const known = this.#known.get(hash);
    if (known !== undefined && known.untilMs > nowMs) return known.id;
    const row = await this.#store.db
      .selectFrom('cluster_nodes')
      .select(['id', 'state'])
      .where('token_hash', '=', hash)
      .executeTakeFirst();
    if (row === undefined || row.state === 'left') {
      this.#known.delete(hash);
      throw new ClusterRefusal(401, 'AUTHENTICATION_REQUIRED', 'the node token is not known; join again');
    }
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(hash, { id: row.id, untilMs: nowMs + KNOWN_MS });
    return row.id;
  }

  /** One statement. Returns the node, the rollout that is open, if one is, and the number of the newest fact. */
  async heartbeat(
    id: string,
    beat: Heartbeat,
  ): Promise<{ node: ClusterNode; rollout: OpenRollout | null; newestFact: number }> {
    const { dialect } = this.#store;
    const row = await this.#store.db
      .updateTable('cluster_nodes')
      .set({
        seen_at: databaseNow(dialect) as unknown as number,
        ...(beat.health === undefined ? {} : { health: beat.health }),
        ...(beat.load === undefined ? {} : { load: JSON.stringify(beat.load) }),
        ...(beat.capacity === undefined ? {} : { capacity: beat.capacity }),
        ...(beat.traffic === undefined ? {} : { traffic: JSON.stringify(beat.traffic) }),
        ...(beat.appliedVersion === undefined ? {} : { applied_version: beat.appliedVersion }),
        ...(beat.applyProblem === undefined ? {} : { apply_problem: beat.applyProblem }),
        ...(beat.checked === undefined
          ? {}
          : {
              checked_version: beat.checked.version,
              check_problems: beat.checked.problems === null ? null : JSON.stringify(beat.checked.problems),
            }),
      })
      .where('id', '=', id)
      .where('state', '<>', 'left')
      .returningAll()
      .returning(({ selectFrom }) => [
        selectFrom('cluster_rollouts').select('version').where('state', 'in', OPEN_ROLLOUT).limit(1).as('open_version'),
        selectFrom('cluster_rollouts').select('state').where('state', 'in', OPEN_ROLLOUT).limit(1).as('open_state'),
        selectFrom('cluster_leases').select('epoch').where('name', '=', FACTS_SEQUENCE).as('newest_fact'),
      ])
      .executeTakeFirst();
    if (row === undefined) throw notFound('node', id);
    const { open_version, open_state, newest_fact, ...own } = row;
    if (row.gone === 1) await this.#comeBack(id);
    return {
      node: this.#shown(own, Number(row.seen_at)),
      rollout: open_version === null ? null : { version: Number(open_version), isChecked: open_state === 'checking' },
      newestFact: Number(newest_fact ?? 0),
    };
  }

  async #comeBack(id: string): Promise<void> {
    await this.#store.transaction(async (trx) => {
      await trx.updateTable('cluster_nodes').set({ gone: 0 }).where('id', '=', id).execute();
      await addEvent(trx, this.#store.dialect, { type: 'node.back', subject: id });
    });
  }

  async leave(id: string): Promise<void> {
    await this.setState(id, 'left', 'it left', 'the node itself');
  }

  /** Cordon, drain, back to active, or out. Leaving gives a node's unfinished tasks back. */
  async setState(id: string, state: NodeState, reason: string, by: string): Promise<ClusterNode> {
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const row = await trx
        .updateTable('cluster_nodes')
        .set({ state, state_reason: reason, state_by: by, ...(state === 'left' ? { token_hash: null } : {}) })
        .where('id', '=', id)
        .where('state', '<>', 'left')
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) throw notFound('node', id);
      if (state === 'left') this.#known.clear();
      await addEvent(trx, dialect, { type: `node.${state}`, subject: id, data: { name: row.name, reason, by } });
      return this.#shown(row, await readDatabaseTime(trx, dialect));
    });
  }

  async setLabels(id: string, labels: Readonly<Record<string, string>>, by: string): Promise<ClusterNode> {
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const row = await trx
        .updateTable('cluster_nodes')
        .set({ labels: JSON.stringify(labels) })
        .where('id', '=', id)
        .where('state', '<>', 'left')
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) throw notFound('node', id);
      await addEvent(trx, dialect, { type: 'node.labelled', subject: id, data: { labels, by } });
      return this.#shown(row, await readDatabaseTime(trx, dialect));
    });
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  async get(id: string): Promise<ClusterNode> {
    const { db, dialect } = this.#store;
    const row = await db.selectFrom('cluster_nodes').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined) throw notFound('node', id);
    return this.#shown(row, await readDatabaseTime(db, dialect));
  }

  /** By name; without those that left unless `all`. Inside a transaction, its handle is given. */
  async list({
    all = false,
    trx,
  }: {
    all?: boolean;
    trx?: Transaction<ClusterTables>;
  } = {}): Promise<readonly ClusterNode[]> {
    const { dialect } = this.#store;
    const rows = await (trx ?? this.#store.db)
      .selectFrom('cluster_nodes')
      .selectAll()
      .select(databaseNow(dialect).as('now'))
      .$if(!all, (query) => query.where('state', '<>', 'left'))
      .orderBy('name')
      .execute();
    return rows.map(({ now, ...row }) => this.#shown(row, Number(now)));
  }

  #presence(row: Pick<NodeRow, 'state' | 'seen_at'>, now: number): Presence {
    if (row.state === 'left') return 'left';
    const silentMs = now - Number(row.seen_at);
    if (silentMs >= this.#settings.goneMs) return 'gone';
    return silentMs >= this.#settings.suspectMs ? 'suspect' : 'alive';
  }

  #shown(row: Selectable<NodeRow>, now: number): ClusterNode {
    return {
      id: row.id,
      name: row.name,
      kind: row.kind as NodeKind,
      url: row.url,
      zone: row.zone,
      labels: JSON.parse(row.labels) as Record<string, string>,
      state: row.state as NodeState,
      stateReason: row.state_reason,
      stateBy: row.state_by,
      presence: this.#presence(row, now),
      joinedAtMs: Number(row.joined_at),
      seenAtMs: Number(row.seen_at),
      incarnation: row.incarnation,
      software: row.software,
      health: row.health,
      load: JSON.parse(row.load) as Record<string, number>,
      traffic: row.traffic === null ? null : (JSON.parse(row.traffic) as Traffic),
      capacity: row.capacity,
      appliedVersion: Number(row.applied_version),
      wantedVersion: Number(row.wanted_version),
      applyProblem: row.apply_problem,
      checkedVersion: Number(row.checked_version),
      checkProblems: row.check_problems === null ? null : (JSON.parse(row.check_problems) as string[]),
    };
  }
}

/** The last version that was rolled out whole; 0 when there is none. */
export async function currentVersion(db: Transaction<ClusterTables>): Promise<{ version: number }> {
  const row = await db
    .selectFrom('cluster_rollouts')
    .select('version')
    .where('state', '=', 'done')
    .orderBy('state_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return { version: Number(row?.version ?? 0) };
}
