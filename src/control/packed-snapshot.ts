/** A snapshot made ready for another thread: a head for the message, and a port on which its parts wait. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { atOnce, type Steps } from '../base/slices.ts';
import { type Received, type SnapshotHead, splitSnapshot } from '../data/contract/snapshot-parts.ts';

export interface PackedSnapshot {
  readonly head: SnapshotHead;
  /** Goes to the worker with the message, and holds all parts by then. */
  readonly parts: MessagePort;
}

/** `former` is what the worker was sent before. Parts are copied one by one, so that the main thread goes on. */
export function* packSteps({ snapshot, secrets }: Received, former: Received | null): Steps<PackedSnapshot> {
  const { head, parts } = splitSnapshot(snapshot, secrets, former);
  const { port1, port2 } = new MessageChannel();
  for (const part of parts) {
    port1.postMessage(part);
    yield;
  }
  return { head, parts: port2 };
}

/** All of it, for a reader that has nothing. */
export function packAll(received: Received): PackedSnapshot {
  return atOnce(packSteps(received, null));
}
