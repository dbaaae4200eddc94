/**
 * The store of the cache by itself: a hit as a request meets it (found, head and body copied out), a miss that is
 * stored, and what the index of a million objects takes beyond keys, heads and bodies.
 */
import { Fill } from '../../src/data/cache/store/fill.ts';
import { allocateCache, CHUNK_BYTES, layoutOf } from '../../src/data/cache/store/layout.ts';
import { Reader } from '../../src/data/cache/store/reader.ts';
import { CacheStore } from '../../src/data/cache/store/store.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

const MILLION = 1_000_000;
const HEAD = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=600\r\n\r\n');
const TERMS = { bornMs: 0, freshUntilMs: 1e15, staleWhileRevalidateS: 0, staleIfErrorS: 0, flags: 8 };

function put(store: CacheStore, key: string, body: Buffer): boolean {
  store.find(key, 0);
  store.glanceEnd();
  const fill = Fill.begin(store, key);
  if (typeof fill === 'number') return false;
  return fill.head(HEAD, [], body.length, TERMS) && fill.append(body, 0, body.length) && fill.commit();
}

function hits(name: string, bodyBytes: number, objects: number): Row {
  const store = new CacheStore(allocateCache(64 * 1024 * 1024), 0);
  const keys = Array.from({ length: objects }, (_, i) => `http://api.example/api/v1/things/${i}?page=1`);
  const body = Buffer.alloc(bodyBytes, 'x');
  for (const key of keys) if (!put(store, key, body)) throw new TypeError('no room');
  const into = Buffer.alloc(64 * 1024);
  return measure(
    name,
    (rounds) => {
      let read = 0;
      for (let i = 0; i < rounds; i++) {
        store.find(keys[(i * 7_919) % objects]!, 0);
        const reader = Reader.open(store, store.live)!;
        store.glanceEnd();
        read += reader.head().length;
        for (let left = reader.bodyBytes; left > 0; left -= into.length)
          reader.read(into, 0, Math.min(left, into.length));
        reader.close();
      }
      return read;
    },
    { note: `${objects} objects, head and body copied out` },
  );
}

function misses(): Row {
  const store = new CacheStore(allocateCache(64 * 1024 * 1024), 0);
  const body = Buffer.alloc(1_024, 'x');
  let nth = 0;
  return measure(
    'miss of 1 KB: stored, another evicted',
    (rounds) => {
      let stored = 0;
      for (let i = 0; i < rounds; i++) if (put(store, `http://api.example/api/v1/things/${nth++}`, body)) stored++;
      return stored;
    },
    { atMost: 3_000 },
  );
}

/** Everything of the memory that is not chunks, for as many objects as there are chunks. */
function index(): Row {
  const layout = layoutOf(MILLION * (CHUNK_BYTES + 128));
  const bytes = layout.chunkBytesAt - layout.pins * 4;
  return {
    name: 'index of a million objects',
    value: bytes / layout.chunks,
    unit: 'bytes/object',
    atMost: 100,
    note: `${layout.chunks.toLocaleString('en-US')} objects of one chunk of ${CHUNK_BYTES} bytes`,
  };
}

export function run(): Row[] {
  return [hits('hit of 1 KB', 1_024, 10_000), hits('hit of 100 KB', 100 * 1_024, 300), misses(), index()];
}
