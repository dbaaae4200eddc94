/**
 * Memory that messages are put together in, one buffer at a time per socket that is being written to, given back as
 * soon as the kernel has taken its bytes: almost always before the callback ends, so that two or three buffers serve a
 * whole thread and a message costs no allocation. Where a peer reads slowly its buffer waits until the bytes are gone:
 * allocated anew for each, they made the garbage collector mark the whole heap. Owner: the thread.
 */
import type { Socket } from 'node:net';

/** Of what HTTP/2 gathers for one write (`GATHER_BYTES`) and the frame that goes beyond it. */
const SCRATCH_BYTES = 49 * 1024;
const MOST_IN_STOCK = 16;
/** Those above are left to the garbage collector. */
const MOST_WAITING = 16;
/** A power of two. */
const KEPT_VIEWS = 256;

const NOTHING = Buffer.alloc(0);

export class Scratch {
  readonly bytes: Buffer;
  /** The same by words. */
  readonly view: DataView;
  readonly #views: Buffer[] = Array.from({ length: KEPT_VIEWS }, () => NOTHING);

  constructor(bytes: number) {
    this.bytes = bytes === 0 ? NOTHING : Buffer.allocUnsafeSlow(bytes);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
  }

  /** The first `length` bytes. Messages of a service are often of the same length, and a view is expensive to make. */
  first(length: number): Buffer {
    const at = length & (KEPT_VIEWS - 1);
    const known = this.#views[at]!;
    if (known.length === length) return known;
    const view = this.bytes.subarray(0, length);
    this.#views[at] = view;
    return view;
  }
}

export const NO_SCRATCH: Scratch = new Scratch(0);
const stock: Scratch[] = [];
const waiting: { readonly scratch: Scratch; readonly socket: Socket }[] = [];

/** Memory of at least `bytes`; what it holds is garbage. */
export function takeScratch(bytes: number): Scratch {
  if (bytes > SCRATCH_BYTES) return new Scratch(bytes);
  return stock.pop() ?? takeWaiting() ?? new Scratch(SCRATCH_BYTES);
}

function takeWaiting(): Scratch | null {
  for (let i = 0; i < waiting.length; i++) {
    const { scratch, socket } = waiting[i]!;
    if (socket.writableLength > 0) continue;
    waiting[i] = waiting[waiting.length - 1]!;
    waiting.pop();
    return scratch;
  }
  return null;
}

/** Nothing refers to it any more. */
export function giveScratch(scratch: Scratch): void {
  if (scratch.bytes.length === SCRATCH_BYTES && stock.length < MOST_IN_STOCK) stock.push(scratch);
}

/** Its bytes are on their way to the kernel: nothing refers to it any more once this socket has no more to write. */
export function giveScratchLater(scratch: Scratch, socket: Socket): void {
  if (scratch.bytes.length !== SCRATCH_BYTES) return;
  if (waiting.length >= MOST_WAITING) waiting.shift();
  waiting.push({ scratch, socket });
}
