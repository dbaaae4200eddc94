/**
 * Lets an accepted connection read into buffers of our choosing, as connections that we open do (`onread`). Node offers
 * that for sockets made by the program only; an accepted one allocates 64 KB for every read, and for uploads the
 * collection of those took a third of the CPU time. So the handle of the accepted socket is given to a new one. The
 * handle is not a documented property: where there is none, null is returned and `data` events serve as well.
 */
import type { Socket } from 'node:net';
import { Socket as NetSocket } from 'node:net';

export interface Reader {
  /** Memory for the next read. */
  nextBuffer(): Buffer;
  onRead(length: number, bytes: Buffer): void;
}

/** Who reads of each adopted socket. */
const readers = new WeakMap<Socket, { reader: Reader }>();

/** From now on another one reads: the protocol turned out to be a different one. */
export function readInto(socket: Socket, reader: Reader): void {
  readers.get(socket)!.reader = reader;
}

export function isAdopted(socket: Socket): boolean {
  return readers.has(socket);
}

interface WithHandle {
  _handle?: object | null;
}

/** `accepted` must not have been read from (`pauseOnConnect`); it is of no use afterwards. */
export function adopt(accepted: Socket, reader: Reader): Socket | null {
  const holder = accepted as unknown as WithHandle;
  const handle = holder._handle;
  if (handle === undefined || handle === null) return null;
  holder._handle = null;
  const reading = { reader };
  const options = {
    handle,
    // What an end of the other side means is the protocol's business.
    allowHalfOpen: true,
    onread: {
      buffer: () => reading.reader.nextBuffer(),
      callback: (length: number, bytes: Uint8Array): boolean => {
        reading.reader.onRead(length, bytes as Buffer);
        return true;
      },
    },
  };
  const socket = new NetSocket(options as ConstructorParameters<typeof NetSocket>[0]);
  readers.set(socket, reading);
  socket.setNoDelay(true);
  accepted.destroy(); // has no handle any more, so this only tells its server that it is gone
  return socket;
}
