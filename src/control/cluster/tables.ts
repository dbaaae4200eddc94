/**
 * The tables of a cluster and the migration that makes them. All nodes share them, so every time in them is the
 * database's own (database-time.ts), in milliseconds since 1970: clocks of nodes may differ. JSON stands in text
 * columns.
 */
import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { Migration } from '../store/migrate.ts';

export interface LeaseRow {
  name: string;
  holder: string;
  /** Grows by one with each new holder: the fencing token of what the holder writes. */
  epoch: number;
  until: number;
}

export interface NodeRow {
  id: string;
  name: string;
  /** `gateway`: a process of Gatehouse. `worker`: an application that joined over the API. */
  kind: string;
  url: string | null;
  zone: string | null;
  /** JSON object of texts. */
  labels: string;
  /** SHA-256 of the node's token, hex; null for gateways, which use the store itself. */
  token_hash: string | null;
  /** `active`, `cordoned`, `draining` or `left`. */
  state: string;
  state_reason: string | null;
  state_by: string | null;
  /** The queen has seen that its heartbeats stopped and has taken its tasks away. */
  gone: number;
  joined_at: number;
  seen_at: number;
  /** Counts the starts of the node. */
  incarnation: number;
  software: string | null;
  health: string;
  /** JSON: `{ inFlight, capacity, ... }` numbers. */
  load: string;
  /** JSON: counters for the gate of a rollout. */
  traffic: string | null;
  /** Tasks it takes at once. */
  capacity: number;
  /** Configuration version it runs; 0 is its own file. */
  applied_version: number;
  /** Version it should run. */
  wanted_version: number;
  apply_problem: string | null;
  checked_version: number;
  /** JSON list of problems; null when the check passed. */
  check_problems: string | null;
}

export interface JoinTokenRow {
  id: string;
  hash: string;
  labels: string;
  zone: string | null;
  created_by: string;
  created_at: number;
  expires_at: number;
  /** Null: as often as wanted until it expires. */
  uses_left: number | null;
}

export interface EventRow {
  id: number;
  at: number;
  type: string;
  subject: string;
  data: string;
  epoch: number | null;
}

export interface TaskRow {
  id: string;
  kind: string;
  payload: string;
  /** JSON: labels that a node must have. */
  selector: string;
  /** JSON: labels that are preferred. */
  affinity: string;
  dedupe: string | null;
  priority: number;
  /** `queued`, `assigned`, `running`, `done`, `failed` or `cancelled`. */
  state: string;
  node_id: string | null;
  attempt: number;
  max_attempts: number;
  timeout_ms: number;
  /** While assigned or running: without a sign of life until then it is another node's. */
  lease_until: number | null;
  not_before: number;
  progress: number;
  result: string | null;
  error: string | null;
  created_by: string;
  created_at: number;
  updated_at: number;
}

export interface MessageRow {
  id: number;
  to_node: string;
  from_node: string;
  topic: string;
  body: string;
  dedupe: string | null;
  created_at: number;
  expires_at: number;
  deliveries: number;
  acked_at: number | null;
}

export interface VersionRow {
  version: number;
  hash: string;
  document: string;
  author: string;
  reason: string;
  created_at: number;
}

export interface RolloutRow {
  id: string;
  version: number;
  /** The last version that was rolled out whole before; 0 is each node's own file. */
  from_version: number;
  state: string;
  state_at: number;
  reason: string | null;
  /** JSON list of node ids. */
  canary: string;
  wave: number;
  /** JSON: see rollout.ts. */
  settings: string;
  /** JSON: counters of each node when watching began. */
  baseline: string | null;
  created_by: string;
  created_at: number;
}

export interface FactRow {
  topic: string;
  key: string;
  /** Grows with each change of any fact; fact-board.ts. */
  seq: number;
  value: string;
  /** Name and start of the node that sent it. */
  node: string;
  told_at: number;
  expires_at: number;
}

export interface ClusterTables {
  cluster_leases: LeaseRow;
  cluster_nodes: NodeRow;
  cluster_join_tokens: JoinTokenRow;
  cluster_events: EventRow;
  cluster_tasks: TaskRow;
  cluster_messages: MessageRow;
  cluster_versions: VersionRow;
  cluster_rollouts: RolloutRow;
  cluster_facts: FactRow;
}

/** SQLite's `autoincrement` never gives an id twice, and PostgreSQL's sequence does not either. */
function idColumn(dialect: string) {
  return dialect === 'postgres'
    ? sql`bigint generated always as identity primary key`
    : sql`integer primary key autoincrement`;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    id: '0001-cluster',
    async up(trx, dialect) {
      await makeLeasesAndNodes(trx);
      await makeTasks(trx);
      await makeRollouts(trx);
      await sql`create table cluster_events (id ${idColumn(dialect)}, at bigint not null, type text not null,
        subject text not null, data text not null, epoch bigint)`.execute(trx);
      await sql`create table cluster_messages (id ${idColumn(dialect)}, to_node text not null, from_node text not null,
        topic text not null, body text not null, dedupe text, created_at bigint not null, expires_at bigint not null,
        deliveries integer not null default 0, acked_at bigint, unique (from_node, dedupe))`.execute(trx);
      await trx.schema
        .createIndex('cluster_messages_to')
        .on('cluster_messages')
        .columns(['to_node', 'acked_at', 'id'])
        .execute();
    },
  },
  {
    id: '0002-facts',
    async up(trx) {
      await sql`create table cluster_facts (topic text not null, key text not null, seq bigint not null,
        value text not null, node text not null, told_at bigint not null, expires_at bigint not null, primary key (topic, key))`.execute(
        trx,
      );
      await sql`create unique index cluster_facts_seq on cluster_facts (seq)`.execute(trx);
    },
  },
];

// biome-ignore lint/suspicious/noExplicitAny: a migration knows the tables of its own time only
async function makeLeasesAndNodes(trx: Kysely<any>): Promise<void> {
  await trx.schema
    .createTable('cluster_leases')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('holder', 'text', (column) => column.notNull())
    .addColumn('epoch', 'bigint', (column) => column.notNull())
    .addColumn('until', 'bigint', (column) => column.notNull())
    .execute();
  await trx.schema
    .createTable('cluster_nodes')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('url', 'text')
    .addColumn('zone', 'text')
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('token_hash', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('state_reason', 'text')
    .addColumn('state_by', 'text')
    .addColumn('gone', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('joined_at', 'bigint', (column) => column.notNull())
    .addColumn('seen_at', 'bigint', (column) => column.notNull())
    .addColumn('incarnation', 'integer', (column) => column.notNull())
    .addColumn('software', 'text')
    .addColumn('health', 'text', (column) => column.notNull())
    .addColumn('load', 'text', (column) => column.notNull())
    .addColumn('traffic', 'text')
    .addColumn('capacity', 'integer', (column) => column.notNull())
    .addColumn('applied_version', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('wanted_version', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('apply_problem', 'text')
    .addColumn('checked_version', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('check_problems', 'text')
    .execute();
  await trx.schema
    .createTable('cluster_join_tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('zone', 'text')
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('uses_left', 'integer')
    .execute();
}

// biome-ignore lint/suspicious/noExplicitAny: a migration knows the tables of its own time only
async function makeTasks(trx: Kysely<any>): Promise<void> {
  await trx.schema
    .createTable('cluster_tasks')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('payload', 'text', (column) => column.notNull())
    .addColumn('selector', 'text', (column) => column.notNull())
    .addColumn('affinity', 'text', (column) => column.notNull())
    .addColumn('dedupe', 'text', (column) => column.unique())
    .addColumn('priority', 'integer', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('node_id', 'text')
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('max_attempts', 'integer', (column) => column.notNull())
    .addColumn('timeout_ms', 'bigint', (column) => column.notNull())
    .addColumn('lease_until', 'bigint')
    .addColumn('not_before', 'bigint', (column) => column.notNull())
    .addColumn('progress', 'real', (column) => column.notNull())
    .addColumn('result', 'text')
    .addColumn('error', 'text')
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute();
  await trx.schema
    .createIndex('cluster_tasks_state')
    .on('cluster_tasks')
    .columns(['state', 'priority', 'created_at'])
    .execute();
  await trx.schema.createIndex('cluster_tasks_node').on('cluster_tasks').columns(['node_id', 'state']).execute();
}

// biome-ignore lint/suspicious/noExplicitAny: a migration knows the tables of its own time only
async function makeRollouts(trx: Kysely<any>): Promise<void> {
  await trx.schema
    .createTable('cluster_versions')
    .addColumn('version', 'bigint', (column) => column.primaryKey())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('document', 'text', (column) => column.notNull())
    .addColumn('author', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
  await trx.schema
    .createTable('cluster_rollouts')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('from_version', 'bigint', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('state_at', 'bigint', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('canary', 'text', (column) => column.notNull())
    .addColumn('wave', 'integer', (column) => column.notNull())
    .addColumn('settings', 'text', (column) => column.notNull())
    .addColumn('baseline', 'text')
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
}
