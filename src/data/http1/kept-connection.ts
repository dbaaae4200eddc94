/** How an upstream connection is kept: for how long, and open for reading when writing has failed (session.ts). */
import type { Socket } from 'node:net';
import type { Head } from '../parser/head.ts';

/** What is on its way when the instance closes must not be lost. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

/** `Keep-Alive: timeout=5` (RFC 2068 §19.7.1.1): seconds that an idle connection is kept. */
export function keptForMs(head: Head): number {
  const seconds = /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,9})/i.exec(head.valueOf('keep-alive') ?? '')?.[1];
  if (seconds === undefined) return Infinity;
  const ms = Number(seconds) * 1_000;
  return Math.max(0, ms - Math.min(KEEP_ALIVE_MARGIN_MS, ms / 2));
}

/**
 * A failed write must not end the reading side too. A socket takes no `autoDestroy` option, so its streams get it;
 * every other end of the socket is seen to here. Of TLS, too, what arrived before the reset is decrypted and read.
 */
export function keepReadable(socket: Socket): void {
  const { _readableState: readable, _writableState: writable } = socket as unknown as Record<
    '_readableState' | '_writableState',
    { autoDestroy: boolean }
  >;
  readable.autoDestroy = false;
  writable.autoDestroy = false;
}
