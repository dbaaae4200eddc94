/**
 * Memory that messages are put together in, one buffer at a time per socket that is being written to, given back as
 * soon as the kernel has taken its bytes: almost always before the callback ends, so that two or three buffers serve a
 * whole thread and a message costs no allocation. Owner: the thread.
 */

export const SCRATCH_BYTES = 32 * 1024;
const MOST_IN_STOCK = 16;

const stock: Buffer[] = [];

/** A buffer of at least `bytes`; what it holds is garbage. */
export function takeScratch(bytes: number): Buffer {
  if (bytes > SCRATCH_BYTES) return Buffer.allocUnsafeSlow(bytes);
  return stock.pop() ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES);
}

/** Nobody refers to it any more. */
export function giveScratch(buffer: Buffer): void {
  if (buffer.length === SCRATCH_BYTES && stock.length < MOST_IN_STOCK) stock.push(buffer);
}
