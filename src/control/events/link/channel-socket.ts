/**
 * The client of an upgraded call as the stream that the `ws` package wants: it writes the head of a 101, or of a
 * refusal, and frames behind it.
 */
import { Duplex } from 'node:stream';
import { CREDIT_BYTES } from '../../../data/contract/channel-link.ts';
import type { Channel } from './channel.ts';

/** A worker waits for word of what it sent only when more is under way. */
const TELL_BYTES = CREDIT_BYTES / 4;

type Done = (error?: Error | null) => void;

export class ChannelSocket extends Duplex {
  readonly #channel: Channel;
  #hasHead = false;
  /** Waits for the client to read. */
  #pending: Done | null = null;
  /** `drain` is due although the stream itself holds nothing. */
  #isFull = false;
  /** Bytes of the client's that its worker thinks are unread. */
  #untold = 0;

  constructor(channel: Channel) {
    super({ highWaterMark: CREDIT_BYTES, emitClose: true, allowHalfOpen: false });
    this.#channel = channel;
    channel.takeBytes((bytes) => this.#take(bytes));
    channel.onDrain(() => this.#drained());
    channel.onClose(() => this.destroy());
    // Whoever took it sees it close.
    this.on('error', () => {});
  }

  /** A frame that was made for many. False: the client reads too slowly, and `drain` follows. */
  writeFrame(frame: Buffer): boolean {
    if (this.writableLength > 0) return this.write(frame);
    const isTaken = this.#channel.write(frame);
    if (!isTaken) this.#isFull = true;
    return isTaken;
  }

  /** Nothing more should be written for now. */
  get isFull(): boolean {
    return this.#isFull || this.writableNeedDrain;
  }

  #drained(): void {
    const done = this.#pending;
    this.#pending = null;
    const wasFull = this.#isFull;
    this.#isFull = false;
    if (done !== null) done();
    this.#tell();
    if (wasFull && !this.writableNeedDrain) this.emit('drain');
  }

  #take(bytes: Buffer): void {
    this.#untold += bytes.byteLength;
    if (this.push(bytes)) this.#tell();
  }

  /** A client that sends and never reads is not read any more: each of its ping frames has a pong that waits for it. */
  #tell(): void {
    if (this.#untold < TELL_BYTES || this.writableLength >= CREDIT_BYTES) return;
    this.#channel.took(this.#untold);
    this.#untold = 0;
  }

  override _read(): void {
    this.#tell();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    if (!this.#hasHead) {
      this.#hasHead = true;
      this.#begin(chunk);
      done();
      return;
    }
    if (this.#channel.write(chunk)) done();
    else if (this.#channel.isOver) done();
    else this.#pending = done;
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: Done): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', done);
  }

  /** A 101, or a refusal with its body. */
  #begin(bytes: Buffer): void {
    const end = bytes.indexOf('\r\n\r\n');
    const [line = '', ...fields] = bytes.latin1Slice(0, end).split('\r\n');
    const status = Number(line.split(' ')[1]);
    if (status === 101) {
      this.#channel.upgrade(bytes);
      return;
    }
    const headers: Record<string, string> = {};
    for (const field of fields) {
      const colon = field.indexOf(':');
      const name = field.slice(0, colon);
      if (!/^(connection|content-length)$/i.test(name)) headers[name] = field.slice(colon + 1).trim();
    }
    this.#channel.reply(status, headers, bytes.toString('utf8', end + 4));
  }

  override _final(done: Done): void {
    this.#channel.end();
    done();
    this.push(null);
    this.destroy();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#channel.abort();
    const pending = this.#pending;
    this.#pending = null;
    pending?.();
    done(error);
  }
}
