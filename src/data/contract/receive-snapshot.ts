/** A snapshot from another thread, read a part at a time between requests (snapshot-parts.ts). */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Steps } from '../../base/slices.ts';
import { joinSnapshot, type Received, type SnapshotHead, type SnapshotPart } from './snapshot-parts.ts';

/** The parts wait on the port already; it is closed behind the last one. */
export function* receiveSteps(head: SnapshotHead, port: MessagePort, former: Received | null): Steps<Received> {
  const parts: SnapshotPart[] = [];
  for (let i = 0; i < head.parts; i++) {
    const received = receiveMessageOnPort(port) as { readonly message: SnapshotPart } | undefined;
    if (received === undefined) throw new TypeError(`part ${i + 1} of ${head.parts} of a snapshot is missing`);
    parts.push(received.message);
    yield;
  }
  port.close();
  return joinSnapshot(head, parts, former);
}
