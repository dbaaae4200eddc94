/** What every tail that reads pages owes, over a stream whose every reply is the test's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Scope } from '../../../../test/support/scope.ts';
import { until } from '../../../../test/support/until.ts';
import type { Page, StoredEvent, Tail, TailHandler } from './engine.ts';
import { type Followed, NatsTail } from './nats-tail.ts';
import { PagingTail } from './paging-tail.ts';

const FACTS = {
  subject: 'a',
  key: 'a',
  contentType: 'text/plain',
  attributes: {},
  dedupeId: null,
  data: Buffer.from('first'),
};

/** Emptied behind position 9; the first event of the new stream is stored while its end is asked for. */
class BegunAnew implements Followed {
  readonly name = 'stream';
  readonly events: StoredEvent[] = [];

  async read(after: string | null): Promise<Page> {
    const events = after === '1' ? [] : [...this.events];
    return { events, hasGap: after !== '1' };
  }

  async latest(): Promise<string> {
    this.events.push({ ...FACTS, position: '1', id: '1' });
    return '1';
  }

  /** The server takes no consumer: pages are all that there is. */
  line() {
    const add = (): Promise<never> => Promise.reject(new Error('no consumers'));
    return { connection: {}, jsm: { consumers: { add } }, inbox: 'inbox' } as unknown as ReturnType<Followed['line']>;
  }

  eventOf(): never {
    throw new TypeError('no message arrives');
  }
}

/** Begun anew, with three events, before anybody who followed it looked. */
class ShorterThanBefore extends BegunAnew {
  override readonly events: StoredEvent[] = ['1', '2', '3'].map((position) => ({ ...FACTS, position, id: position }));

  override async read(after: string | null): Promise<Page> {
    const from = Number(after ?? 0);
    return { events: this.events.filter(({ position }) => Number(position) > from), hasGap: from > 3 };
  }

  override async latest(): Promise<string> {
    return '3';
  }
}

/** Away for a moment, and then begun anew and longer than before: other events have the positions of those before. */
class LongerThanBefore extends BegunAnew {
  override readonly events: StoredEvent[] = Array.from({ length: 12 }, (_, i) => stored(`old${i + 1}`, i + 1));
  #reads = 0;

  override async read(after: string | null): Promise<Page> {
    this.#reads++;
    // The event at the place, the page behind it, and its end.
    if (this.#reads === 4) {
      for (const [i] of this.events.entries()) this.events[i] = stored(`new${i + 1}`, i + 1);
      this.events.push(stored('new13', 13));
      throw new Error('away');
    }
    const from = Number(after ?? 0);
    return { events: this.events.filter(({ position }) => Number(position) > from), hasGap: false };
  }

  override async latest(): Promise<string> {
    return String(this.events.length);
  }
}

function stored(id: string, position: number): StoredEvent {
  return { ...FACTS, id, position: String(position) };
}

const TAILS: Readonly<Record<string, (stream: BegunAnew, handler: TailHandler) => Tail>> = {
  NatsTail: (stream, handler) => new NatsTail(stream, '9', handler, () => {}),
  PagingTail: (stream, handler) => {
    const tail = new PagingTail(
      stream,
      '9',
      handler,
      () => 3_600_000,
      () => {},
    );
    tail.look();
    return tail;
  },
};

for (const [name, make] of Object.entries(TAILS)) {
  const follow = async (t: Scope, stream: BegunAnew): Promise<{ seen: string[]; gaps: number }> => {
    const found = { seen: [] as string[], gaps: 0 };
    const tail = make(stream, {
      onEvents: (events) => void found.seen.push(...events.map(({ position }) => position)),
      onGap: () => void found.gaps++,
    });
    t.after(() => tail.stop());
    for (let i = 0; i < 50; i++) await turn();
    return found;
  };

  test(`${name}: an event that is stored while the end of an emptied stream is asked for is delivered`, async (t) => {
    const { seen, gaps } = await follow(t, new BegunAnew());
    assert.deepEqual(seen, ['1']);
    assert.ok(gaps > 0);
  });

  test(`${name}: of a stream that was begun anew and has passed the place of who follows it, everything is new`, async (t) => {
    const stream = new LongerThanBefore();
    const ids: string[] = [];
    const tail = make(stream, {
      onEvents: (events) => void ids.push(...events.map(({ id }) => id)),
      onGap: () => void ids.push('gap'),
    });
    t.after(() => tail.stop());
    await until(() => {
      if (tail instanceof PagingTail) tail.look();
      return ids.includes('new13');
    }, 'the newest');
    const news = Array.from({ length: 13 }, (_, i) => `new${i + 1}`);
    assert.deepEqual(ids, ['old10', 'old11', 'old12', 'gap', ...news]);
  });

  test(`${name}: of a stream that ends before the place of who follows it, everything is new`, async (t) => {
    assert.deepEqual(await follow(t, new ShorterThanBefore()), { seen: ['1', '2', '3'], gaps: 1 });
  });
}
