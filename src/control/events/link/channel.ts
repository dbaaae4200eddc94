/**
 * One call of a worker: a request and the ways to respond to it. What is written is bounded: what is on its way to the
 * client or waits for it is counted, and `write` says when that is enough for now.
 */
import { CREDIT_BYTES } from '../../../data/contract/channel-link.ts';
import type { WorkerLink } from './worker-link.ts';

const NOTHING = (): void => {};

export class Channel {
  readonly id: number;
  readonly #link: WorkerLink;
  /** Nothing can be said any more: it has ended, or the client is gone. */
  isOver = false;
  /** For the link: in which batch it was last spoken to, and by which item of it. */
  batch = 0;
  lastItem = -1;
  /** Written, and not yet with the kernel or, while it is stopped, with the client. */
  #unread = 0;
  /** Of these, what the worker holds until the client reads. */
  #held = 0;
  #isStopped = false;
  #wantsDrain = false;
  #onDrain: () => void = NOTHING;
  #onClose: () => void = NOTHING;
  #onBytes: (bytes: Buffer) => void = NOTHING;

  constructor(link: WorkerLink, id: number) {
    this.#link = link;
    this.id = id;
  }

  // --- responding ----------------------------------------------------------------------------------------------------

  reply(status: number, headers: Record<string, string>, body: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#link.reply(this, status, headers, body);
  }

  /** Server-sent events follow by `write`. */
  stream(): void {
    if (!this.isOver) this.#link.stream(this);
  }

  /** Frames follow by `write`; `onBytes` is called with those of the client. */
  upgrade(head: Buffer): void {
    if (!this.isOver) this.#link.upgrade(this, head);
  }

  /** False: the client takes no more for now; `onDrain` follows. The bytes must stay as they are. */
  write(bytes: Uint8Array): boolean {
    if (this.isOver) return false;
    this.#unread += bytes.byteLength;
    this.#link.write(this, bytes);
    if (!this.#isStopped && this.#unread < CREDIT_BYTES) return true;
    this.#wantsDrain = true;
    return false;
  }

  /** So many bytes of the client's have been dealt with. */
  took(bytes: number): void {
    if (!this.isOver) this.#link.took(this, bytes);
  }

  /** What was written reaches the client; nothing may follow. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#link.end(this);
  }

  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#link.abort(this);
  }

  onDrain(drained: () => void): void {
    this.#onDrain = drained;
  }

  /** Called once when the client goes away before the end. */
  onClose(closed: () => void): void {
    this.#onClose = closed;
  }

  takeBytes(take: (bytes: Buffer) => void): void {
    this.#onBytes = take;
  }

  // --- called by the link --------------------------------------------------------------------------------------------

  onBytes(bytes: Buffer): void {
    this.#onBytes(bytes);
  }

  onStopped(): void {
    this.#isStopped = true;
  }

  onWritten(bytes: number): void {
    if (this.#isStopped) this.#held += bytes;
    else {
      this.#unread -= bytes;
      if (this.#wantsDrain) this.#mayGoOn();
    }
  }

  /** The client has read what the worker held. */
  onRead(): void {
    this.#isStopped = false;
    this.#unread -= this.#held;
    this.#held = 0;
    if (this.#wantsDrain) this.#mayGoOn();
  }

  #mayGoOn(): void {
    if (this.isOver || this.#unread >= CREDIT_BYTES) return;
    this.#wantsDrain = false;
    this.#onDrain();
  }

  onGone(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#onClose();
  }
}
