/**
 * The bodies that travel in the benchmarks. They are the same bytes in every process and every run, so a length and
 * a hash prove that a proxy delivered what the upstream sent.
 */
import { createHash } from 'node:crypto';

export interface Body {
  readonly path: string;
  readonly type: string;
  readonly bytes: Buffer;
}

/** Reproducible noise (xorshift32): incompressible, and a swapped or repeated chunk changes the hash. */
export function noise(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = 0x9e3779b9;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state & 0xff;
  }
  return bytes;
}

/** A JSON list of small objects, cut to an exact length with a filler. */
function json(length: number): Buffer {
  const items = [];
  while (JSON.stringify({ items, filler: '' }).length + 60 < length) {
    items.push({ id: items.length, name: `project ${items.length}`, active: items.length % 2 === 0 });
  }
  const filler = 'x'.repeat(length - JSON.stringify({ items, filler: '' }).length);
  return Buffer.from(JSON.stringify({ items, filler }));
}

/** What upstreams serve by GET. */
export const downloads: readonly Body[] = [
  { path: '/1k.json', type: 'application/json', bytes: json(1024) },
  { path: '/100k.bin', type: 'application/octet-stream', bytes: noise(100 * 1024) },
  { path: '/1m.bin', type: 'application/octet-stream', bytes: noise(1024 * 1024) },
];

export function download(path: string): Body {
  const body = downloads.find((candidate) => candidate.path === path);
  if (body === undefined) throw new TypeError(`no body '${path}'`);
  return body;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
