/** A feed whose stream is lost and begun anew while it is read: positions begin anew, and no reader may wait there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { event } from '../engines/engine.suite.ts';
import type { EventEngine, StoredEvent, TailHandler } from '../engines/engine.ts';
import { positionBefore } from '../engines/engine.ts';
import { Feed } from './feed.ts';

class LostEngine {
  handler!: TailHandler;
  head = '1000';

  async latest(): Promise<string> {
    return this.head;
  }

  async read() {
    return { events: [], hasGap: true };
  }

  tail(_stream: string, _after: string | null, handler: TailHandler) {
    this.handler = handler;
    return { stop() {} };
  }
}

const stored = (position: string): StoredEvent => ({ ...event(`e${position}`), position });

async function open() {
  const engine = new LostEngine();
  const feed = new Feed(engine as unknown as EventEngine, 's');
  await feed.start();
  const seen: string[] = [];
  let takes = true;
  const sink = {
    event: (entry: { readonly event: StoredEvent }) => {
      seen.push(entry.event.position);
      return takes;
    },
    gap: () => void seen.push('gap'),
  };
  const reader = feed.read(undefined, () => true, sink);
  await new Promise(setImmediate);
  return { engine, feed, seen, reader, stop: () => (takes = false), goOn: () => (takes = true) };
}

test('a stream that is begun anew is read on after the gap, from its first event', async () => {
  const { engine, feed, seen } = await open();
  engine.handler.onEvents([stored('1001')]);
  engine.handler.onGap();
  engine.handler.onEvents([stored('1'), stored('2')]);
  engine.handler.onEvents([stored('3')]);
  assert.deepEqual(seen, ['1001', 'gap', '1', '2', '3']);
  assert.equal(feed.head, '3');
  const later: string[] = [];
  feed.read('1', () => true, { event: ({ event: { position } }) => later.push(position) > 0, gap: () => {} });
  await new Promise(setImmediate);
  assert.deepEqual(later, ['2', '3']);
});

test('one that did not take more hears of the gap too, and goes on with the new stream', async () => {
  const { engine, seen, reader, stop, goOn } = await open();
  stop();
  engine.handler.onEvents([stored('1001')]);
  engine.handler.onGap();
  engine.handler.onEvents([stored('7'), stored('8')]);
  goOn();
  reader.resume();
  await new Promise(setImmediate);
  assert.deepEqual(seen, ['1001', 'gap', '7', '8']);
});

test('a gap in a stream that goes on, and what comes twice after one, begin nothing anew', async () => {
  const { engine, seen } = await open();
  engine.handler.onEvents([stored('1001')]);
  engine.handler.onGap();
  engine.handler.onEvents([stored('1005')]);
  engine.handler.onEvents([stored('1004'), stored('1005'), stored('1006')]);
  assert.deepEqual(seen, ['1001', 'gap', '1005', '1006']);
});

test('before each position of an engine there is another, but before the first', () => {
  assert.equal(positionBefore('1'), '0');
  assert.equal(positionBefore('0'), null);
  assert.equal(positionBefore('1700000000000-5'), '1700000000000-4');
  assert.equal(positionBefore('1700000000000-0'), '1699999999999-18446744073709551615');
  assert.equal(positionBefore('0-0'), null);
});
