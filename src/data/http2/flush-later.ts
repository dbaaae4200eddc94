/**
 * Connections with something to send, all flushed once the event loop has read what there was: responses that come from
 * several instances in one turn of it share a write and, with TLS, a record. Owner: the thread.
 */

interface Flushable {
  flushNow(): void;
}

let dirty: Flushable[] = [];
let spare: Flushable[] = [];

export function flushLater(connection: Flushable): void {
  if (dirty.length === 0) setImmediate(flushAll);
  dirty.push(connection);
}

function flushAll(): void {
  const now = dirty;
  dirty = spare;
  for (let i = 0; i < now.length; i++) now[i]!.flushNow();
  now.length = 0;
  spare = now;
}
