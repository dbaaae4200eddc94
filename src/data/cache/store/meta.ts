/**
 * What stands in front of the body in an entry's chain: the key (it is compared on every hit, so that two keys of one
 * hash never share a response), the hashes of the tags, and the head as bytes of HTTP/1.1. The key is written when the
 * entry is made, the rest when the head of the response has come.
 *
 *   key length (2) | key | tags (2) | head length (4) | tags (4 each) | head
 */
import { CHUNK_BYTES } from './layout.ts';

/** The key must fit into the first chunk. */
export const MAX_KEY_BYTES: number = CHUNK_BYTES - 64;
export const MAX_TAGS = 128;

/** Writes the key; returns its end. */
export function writeKey(bytes: Buffer, at: number, key: string): number {
  bytes.writeUInt16LE(key.length, at);
  return at + 2 + bytes.latin1Write(key, at + 2);
}

export function hasKey(bytes: Buffer, at: number, key: string): boolean {
  return bytes.readUInt16LE(at) === key.length && bytes.latin1Slice(at + 2, at + 2 + key.length) === key;
}

export function keyIn(bytes: Buffer, at: number): string {
  return bytes.latin1Slice(at + 2, at + 2 + bytes.readUInt16LE(at));
}

/** Everything behind the key. */
export function metaRest(tags: readonly number[], head: Uint8Array): Buffer {
  const rest = Buffer.allocUnsafe(6 + tags.length * 4 + head.length);
  rest.writeUInt16LE(tags.length, 0);
  rest.writeUInt32LE(head.length, 2);
  for (let i = 0; i < tags.length; i++) rest.writeInt32LE(tags[i]!, 6 + i * 4);
  rest.set(head, 6 + tags.length * 4);
  return rest;
}

/** Where the head begins in bytes that hold the whole meta part from `at` on. */
export function headStart(bytes: Buffer, at: number): number {
  const rest = at + 2 + bytes.readUInt16LE(at);
  return rest + 6 + bytes.readUInt16LE(rest) * 4;
}

export function tagsIn(bytes: Buffer, at: number): number[] {
  const rest = at + 2 + bytes.readUInt16LE(at);
  return Array.from({ length: bytes.readUInt16LE(rest) }, (_, i) => bytes.readInt32LE(rest + 6 + i * 4));
}
