/** What a batch becomes when its engine fails in the middle of it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { createLogger } from '../../../base/log.ts';
import type { ChannelCall, PublishSettings } from '../../../data/contract/events.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore } from '../../store/store.ts';
import { EngineFault, type EngineFaultKind, type EventEngine, type NewEvent } from '../engines/engine.ts';
import type { ChannelRequest } from '../link/request.ts';
import { type EventTables, MIGRATIONS } from '../tables.ts';
import { IdempotencyKeys } from './idempotency.ts';
import { Outbox } from './outbox.ts';
import { Publisher } from './publish.ts';
import { StatusTokens } from './status-tokens.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-publish-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

const SETTINGS: PublishSettings = {
  stream: 's',
  subject: 's.a',
  key: null,
  body: 'any',
  type: '',
  source: '/s',
  maxBytes: 10_000,
  ackTimeoutMs: 1_000,
  outbox: false,
  idempotencyKey: 'optional',
  keysForMs: 60_000,
};
const CALL: ChannelCall = {
  route: 'r',
  subject: 's.a',
  key: null,
  caller: 'ada',
  account: 'ada',
  plan: null,
  expires: null,
  address: '192.0.2.1',
};

async function publisher(t: TestContext) {
  const store = await openStore<EventTables>(`sqlite:${folder}/${++files}.db`);
  await migrate(store, 'events', MIGRATIONS);
  t.after(() => store.close());
  const stored: NewEvent[] = [];
  const failing = new Map<string, EngineFaultKind>();
  const engine = {
    async publish(_stream: string, event: NewEvent) {
      const kind = failing.get(event.id);
      if (kind !== undefined) throw new EngineFault(kind, 'it is not taken');
      const before = stored.findIndex(({ dedupeId }) => dedupeId !== null && dedupeId === event.dedupeId);
      if (before < 0) stored.push(event);
      return { position: String(before < 0 ? stored.length : before + 1), duplicate: before >= 0 };
    },
  } as unknown as EventEngine;
  const outbox = new Outbox(
    store,
    createLogger('error', () => {}),
    () => engine,
  );
  const tokens = new StatusTokens(Buffer.from('secret'), '/events');
  const made = new Publisher({ keys: new IdempotencyKeys(store), outbox, tokens });
  const publish = async (ids: readonly string[], settings: Partial<PublishSettings>, key?: string, call = CALL) => {
    const sent: { status: number; body: Record<string, unknown> }[] = [];
    const events = ids.map((id) => ({ specversion: '1.0', id, source: '/s', type: 't' }));
    const request = {
      call,
      method: 'POST',
      headers: {
        'content-type': 'application/cloudevents-batch+json',
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: Buffer.from(JSON.stringify(events)),
      sendJson: (status: number, body: Record<string, unknown>) => void sent.push({ status, body }),
    } as unknown as ChannelRequest;
    const target = { engine, isRoutable: () => true };
    const refusal = await made.serve(request, { ...SETTINGS, ...settings }, target);
    return { status: refusal?.status ?? sent[0]!.status, body: sent[0]?.body };
  };
  return { publish, failing, stored, counts: () => made.counts.get('s'), outbox };
}

test('one event that is not acknowledged is 503 for its batch; repeated with the key, each has one effect', async (t) => {
  const { publish, failing, stored, counts } = await publisher(t);
  failing.set('b', 'unavailable');
  assert.equal((await publish(['a', 'b', 'c'], {}, 'k')).status, 503);
  failing.clear();
  const { status, body } = await publish(['a', 'b', 'c'], {}, 'k');
  assert.equal(status, 202);
  assert.deepEqual(
    (body!['events'] as { id: string; position: string }[]).map(({ id, position }) => `${id} ${position}`),
    ['a 1', 'b 3', 'c 2'],
  );
  assert.equal(stored.length, 3);
  assert.deepEqual(Object.fromEntries(counts()!), { unavailable: 1, duplicate: 2, accepted: 1 });
});

test('a key is of one caller: an equal subject of another issuer publishes under it too', async (t) => {
  const { publish, stored } = await publisher(t);
  const issuedElsewhere = { ...CALL, account: 'https://b.example|ada' };
  assert.equal((await publish(['a'], {}, 'k')).status, 202);
  assert.equal((await publish(['b'], {}, 'k', issuedElsewhere)).status, 202);
  assert.deepEqual(
    stored.map(({ id }) => id),
    ['a', 'b'],
  );
});

test('with an outbox what is not acknowledged waits there, and the response says which', async (t) => {
  const { publish, failing, stored, outbox } = await publisher(t);
  failing.set('b', 'unavailable');
  const { status, body } = await publish(['a', 'b', 'c'], { outbox: true });
  assert.equal(status, 202);
  assert.equal(body!['status'], 'queued');
  assert.deepEqual(
    (body!['events'] as { status: string }[]).map((each) => each.status),
    ['accepted', 'queued', 'accepted'],
  );
  assert.equal(outbox.waiting, 1);
  // While one waits, later ones queue behind it.
  failing.clear();
  const next = await publish(['d', 'e'], { outbox: true });
  assert.deepEqual([next.body!['status'], outbox.waiting], ['queued', 3]);
  assert.deepEqual(
    stored.map(({ id }) => id),
    ['a', 'c'],
  );
});

test('an engine that is full or says that an event is too large decides for the whole batch, outbox or not', async (t) => {
  const { publish, failing, outbox } = await publisher(t);
  for (const [kind, wanted] of [
    ['full', 503],
    ['too-large', 413],
  ] as const) {
    failing.set('b', kind);
    assert.equal((await publish(['a', 'b'], { outbox: true })).status, wanted, kind);
  }
  assert.equal(outbox.waiting, 0);
});
