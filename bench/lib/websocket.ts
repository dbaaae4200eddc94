/**
 * As much of WebSocket (RFC 6455) as an echo benchmark needs: the opening handshake and unfragmented frames of up to
 * 65,535 bytes. Used by both ends, load and upstream.
 */
import { createHash } from 'node:crypto';

/** Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2). */
export function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** One final binary frame; masked, as everything from a client must be (RFC 6455 §5.1), when a mask is given. */
export function frame(payload: Buffer, mask?: Buffer): Buffer {
  const long = payload.length > 125;
  const payloadAt = (long ? 4 : 2) + (mask === undefined ? 0 : 4);
  const bytes = Buffer.allocUnsafe(payloadAt + payload.length);
  bytes[0] = 0x82;
  bytes[1] = (mask === undefined ? 0 : 0x80) | (long ? 126 : payload.length);
  if (long) bytes.writeUInt16BE(payload.length, 2);
  payload.copy(bytes, payloadAt);
  if (mask !== undefined) {
    mask.copy(bytes, payloadAt - 4);
    applyMask(bytes.subarray(payloadAt), mask);
  }
  return bytes;
}

/** XOR with the mask in place (its own inverse). */
function applyMask(payload: Buffer, mask: Buffer): void {
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] as number) ^ (mask[i & 3] as number);
}

/** Cuts a byte stream into frames and hands on each payload, unmasked within the bytes that were fed. */
export class FrameReader {
  #rest: Buffer | undefined;
  #onPayload: (payload: Buffer) => void;

  constructor(onPayload: (payload: Buffer) => void) {
    this.#onPayload = onPayload;
  }

  feed(bytes: Buffer): void {
    let data = this.#rest === undefined ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = undefined;
    while (data.length > 0) {
      const size = frameSize(data);
      if (size === undefined || data.length < size.total) {
        this.#rest = Buffer.from(data);
        return;
      }
      const payload = data.subarray(size.payloadAt, size.total);
      if (size.masked) applyMask(payload, data.subarray(size.payloadAt - 4, size.payloadAt));
      this.#onPayload(payload);
      data = data.subarray(size.total);
    }
  }
}

function frameSize(data: Buffer): { payloadAt: number; total: number; masked: boolean } | undefined {
  if (data.length < 2) return undefined;
  const masked = ((data[1] as number) & 0x80) !== 0;
  let length = (data[1] as number) & 0x7f;
  let payloadAt = 2;
  if (length === 127) throw new Error('frame too long for this benchmark');
  if (length === 126) {
    if (data.length < 4) return undefined;
    length = data.readUInt16BE(2);
    payloadAt = 4;
  }
  if (masked) payloadAt += 4;
  return { payloadAt, total: payloadAt + length, masked };
}
