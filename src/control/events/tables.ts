/**
 * Tables of the event bridge in the SQL store: events of the embedded engine, the outbox, responses to idempotency keys
 * and where consumers are. A released migration never changes.
 */
import { sql } from 'kysely';
import type { Migration } from '../store/migrate.ts';

export interface EventTables {
  /** One row a stream; the counter is the lock that gives positions in the order of commits. */
  event_streams: { name: string; last: number; bytes: number };
  event_log: {
    stream: string;
    position: number;
    id: string;
    subject: string;
    key: string;
    content_type: string;
    /** JSON. */
    attributes: string;
    data: Uint8Array;
    at_ms: number;
    /** Made of an idempotency key, and unique in the stream; null otherwise. */
    dedupe_id: string | null;
  };
  event_keys: {
    key_hash: string;
    fingerprint: string;
    /** JSON of the response, null while the request is in progress. */
    response: string | null;
    begun_ms: number;
    expires_ms: number;
  };
  event_outbox: {
    number: number;
    stream: string;
    id: string;
    subject: string;
    key: string;
    content_type: string;
    attributes: string;
    data: Uint8Array;
    dedupe_id: string | null;
    at_ms: number;
    attempts: number;
    problem: string | null;
    /** When the engine said that it will never take it; null while it waits. */
    refused_ms: number | null;
  };
  event_consumers: {
    name: string;
    stream: string;
    position: string | null;
    owner: string | null;
    lease_until_ms: number;
  };
  /** Where each consumer stands: everything up to `position` was delivered, or is a row of `event_deliveries`. */
  event_cursors: { consumer: string; stream_tag: string; position: string | null };
  /** Events of a consumer that wait for another attempt, for their turn behind one that does, or are dead letters. */
  event_deliveries: {
    consumer: string;
    position: string;
    id: string;
    subject: string;
    key: string;
    content_type: string;
    attributes: string;
    data: Uint8Array;
    state: 'retry' | 'dead';
    attempts: number;
    /** 0 for one that was replayed or waits for its turn. */
    next_ms: number;
    changed_ms: number;
    problem: string | null;
  };
  /** Tickets of the hub, by hash; the caller is JSON. */
  event_tickets: { hash: string; caller: string; expires_ms: number };
  event_presence: { topic: string; user_name: string; node: string; until_ms: number };
  /** Secrets of the bridge that all processes on the database share. */
  event_meta: { name: string; value: string };
}

export const MIGRATIONS: readonly Migration[] = [
  {
    id: '0001-events',
    async up(trx, dialect) {
      const blob = dialect === 'postgres' ? 'bytea' : 'blob';
      const counter = dialect === 'postgres' ? 'bigserial primary key' : 'integer primary key autoincrement';
      const content = `id text not null, subject text not null, key text not null, content_type text not null,
        attributes text not null, data ${blob} not null`;
      const text = `
create table event_streams (name text primary key, last bigint not null, bytes bigint not null);
create table event_log (
  stream text not null, position bigint not null, ${content}, at_ms bigint not null, dedupe_id text,
  primary key (stream, position));
create unique index event_log_by_dedupe_id on event_log (stream, dedupe_id);
create table event_keys (
  key_hash text primary key, fingerprint text not null, response text, begun_ms bigint not null,
  expires_ms bigint not null);
create index event_keys_by_end on event_keys (expires_ms);
create table event_outbox (
  number ${counter}, stream text not null, ${content}, dedupe_id text, at_ms bigint not null,
  attempts bigint not null, problem text);
create table event_consumers (
  name text primary key, stream text not null, position text, owner text, lease_until_ms bigint not null);
create table event_meta (name text primary key, value text not null)`;
      for (const statement of text.split(';')) await sql.raw(statement).execute(trx);
    },
  },
  {
    id: '0002-deliveries',
    async up(trx, dialect) {
      const blob = dialect === 'postgres' ? 'bytea' : 'blob';
      const text = `
create table event_cursors (consumer text primary key, stream_tag text not null, position text);
create table event_deliveries (
  consumer text not null, position text not null, id text not null, subject text not null, key text not null,
  content_type text not null, attributes text not null, data ${blob} not null, state text not null,
  attempts bigint not null, next_ms bigint not null, changed_ms bigint not null, problem text,
  primary key (consumer, position));
create index event_deliveries_by_state on event_deliveries (consumer, state, next_ms)`;
      for (const statement of text.split(';')) await sql.raw(statement).execute(trx);
    },
  },
  {
    id: '0003-hub',
    async up(trx) {
      const text = `
create table event_tickets (hash text primary key, caller text not null, expires_ms bigint not null);
create index event_tickets_by_end on event_tickets (expires_ms);
create table event_presence (
  topic text not null, user_name text not null, node text not null, until_ms bigint not null,
  primary key (topic, user_name, node));
create index event_presence_by_end on event_presence (until_ms)`;
      for (const statement of text.split(';')) await sql.raw(statement).execute(trx);
    },
  },
  {
    id: '0004-outbox-refused',
    async up(trx) {
      await sql.raw('alter table event_outbox add column refused_ms bigint').execute(trx);
    },
  },
];
