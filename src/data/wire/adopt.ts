/**
 * Lets accepted connections read into buffers of our choosing, as connections that we open do (`onread`). Node offers
 * that for sockets made by the program only; one that its server makes allocates 64 KB for every read, and for uploads
 * the collection of those took a third of the CPU time. So the server's handle gives us what it accepts before Node
 * makes a socket of it, and the socket is made here. A socket of TLS stands on one that exists, and gets its `onread`
 * when its handshake is over. Handles are no documented property: where there are none, nothing is changed,
 * connections come as sockets of the server, and `data` events serve as well.
 */
import type { Server, Socket } from 'node:net';
import { Socket as NetSocket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { isTls } from '../../base/on-demand.ts';

export interface Reader {
  /** Memory for the next read. */
  nextBuffer(): Buffer;
  onRead(length: number, bytes: Buffer): void;
}

interface Accepted {
  setNoDelay?(on: boolean): void;
  getpeername?(to: { address?: string; port?: number }): number;
}
interface Listening extends Accepted {
  onconnection?: (this: Listening, status: number, accepted: Accepted | undefined) => void;
}
interface WithHandle {
  _handle?: Listening | null;
}

/** Who reads. */
interface Reading {
  reader: Reader;
}

class AdoptedSocket extends NetSocket {
  readonly reading: Reading;

  constructor(reading: Reading, options: ConstructorParameters<typeof NetSocket>[0]) {
    super(options);
    this.reading = reading;
  }
}

/** Node asks for memory when it makes the socket, before anything reads: all of them read to this one first. */
const FIRST = Buffer.allocUnsafeSlow(64 * 1024);
/** Of a socket that is destroyed, or taken before the next turn. */
const NOBODY: Reader = { nextBuffer: () => FIRST, onRead: () => {} };

/** A socket, and the other end of its connection as Node writes it; an empty address where that has gone already. */
export type Take = (socket: Socket, address: string, port: number) => void;

/** Filled for one accepted connection after the other: an object for each would be read once. */
const PEER = { address: '', family: '', port: 0 };

/**
 * Of a server that listens: whatever it accepts from now on goes to `take`, as a socket that reads to memory of its
 * reader (`readInto`), already reading, with TCP_NODELAY and an end of its own for each direction. The server neither
 * counts it nor emits `connection`. Faults of accepting are still the server's events.
 */
export function adoptAccepted(server: Server, take: Take): void {
  const listening = (server as unknown as WithHandle)._handle;
  const usual = listening?.onconnection;
  if (listening == null || typeof usual !== 'function') return;
  // Inherited by what is accepted (Linux, tcp(7)), which saves a system call for each.
  const isInherited = process.platform === 'linux' && listening.setNoDelay !== undefined;
  if (isInherited) listening.setNoDelay?.(true);
  listening.onconnection = function onconnection(status, accepted) {
    if (status !== 0 || accepted === undefined) {
      usual.call(this, status, accepted);
      return;
    }
    if (!isInherited) accepted.setNoDelay?.(true);
    const socket = socketOf(accepted);
    if (accepted.getpeername === undefined) take(socket, socket.remoteAddress ?? '', socket.remotePort ?? 0);
    else if (accepted.getpeername(PEER) === 0) take(socket, PEER.address, PEER.port);
    else take(socket, '', 0);
  };
}

function socketOf(handle: Accepted): Socket {
  const reading: Reading = { reader: NOBODY };
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
  return new AdoptedSocket(reading, options as unknown as ConstructorParameters<typeof NetSocket>[0]);
}

/** From now on this one reads, also when it is another protocol than was thought. False: by `data` events only. */
export function readInto(socket: Socket, reader: Reader): boolean {
  if (!(socket instanceof AdoptedSocket)) return isTls(socket) && readDecrypted(socket, reader);
  socket.reading.reader = reader;
  return true;
}

interface Decrypting {
  useUserBuffer?(bytes: Buffer): void;
}

/**
 * Does what Node does for a TLS socket that the program opens with `onread`. Nothing has been decrypted but the
 * handshake, so no byte has gone the usual way.
 */
function readDecrypted(socket: TLSSocket, reader: Reader): boolean {
  const handle = (socket as unknown as { _handle?: Decrypting | null })._handle;
  if (ONREAD === null || typeof handle?.useUserBuffer !== 'function' || socket.readableLength > 0) return false;
  let bytes = reader.nextBuffer();
  const fields = socket as unknown as Record<symbol, unknown>;
  fields[ONREAD.buffer] = bytes;
  fields[ONREAD.next] = () => {
    bytes = reader.nextBuffer();
    return bytes;
  };
  fields[ONREAD.callback] = (length: number): boolean => {
    reader.onRead(length, bytes);
    return true;
  };
  handle.useUserBuffer(bytes);
  return true;
}

interface OnreadFields {
  readonly buffer: symbol;
  readonly next: symbol;
  readonly callback: symbol;
}

/** The fields in which Node's sockets keep their `onread`; null: this Node has others. */
const ONREAD = onreadFields();

function onreadFields(): OnreadFields | null {
  const buffer = Buffer.alloc(1);
  const next = (): Buffer => buffer;
  const callback = (): boolean => true;
  const fieldsOf = (onread: object) => {
    const socket = new NetSocket({ onread } as unknown as ConstructorParameters<typeof NetSocket>[0]);
    const fields = socket as unknown as Record<symbol, unknown>;
    return (value: unknown) => Object.getOwnPropertySymbols(socket).find((name) => fields[name] === value);
  };
  const fixed = fieldsOf({ buffer, callback })(buffer);
  const made = fieldsOf({ buffer: next, callback });
  const fields = [fixed, made(next), made(callback)];
  if (fields.includes(undefined)) return null;
  return { buffer: fields[0]!, next: fields[1]!, callback: fields[2]! };
}
