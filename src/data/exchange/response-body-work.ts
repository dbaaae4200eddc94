/**
 * The filters that policies put between a response and the client, and the head that waits for the first byte of what
 * comes out of them where a filter asks for that. Made when the first filter is installed.
 */
import type { Fault } from '../../base/errors.ts';
import type { BodyFilter, ResponseFilterOptions } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import { UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { BodySink } from './filter-chain.ts';
import { FilterChain } from './filter-chain.ts';

/** The exchange. */
export interface ResponseBodyOwner {
  /** Sends the head that was held; a length that is known is declared. */
  sendHeldHead(bodyLength: number): void;
  sendBytes(bytes: Buffer, start: number, end: number): void;
  flushDownstream(): boolean;
  complete(trailers: FieldBlock | null): void;
  resumeSource(): void;
  onFault(fault: Fault): void;
}

export class ResponseBodyWork implements BodySink {
  readonly #owner: ResponseBodyOwner;
  readonly #chain: FilterChain;
  /** Of the last filter's output. */
  length = UNKNOWN_LENGTH;
  /** The head has not been sent, because a filter may still change it. */
  holdsHead = false;
  /** The client reads too slowly. */
  #isFull = false;

  constructor(owner: ResponseBodyOwner) {
    this.#owner = owner;
    this.#chain = new FilterChain(this);
  }

  filter(filter: BodyFilter, { length = UNKNOWN_LENGTH, holdHead = false }: ResponseFilterOptions): void {
    this.#chain.add(filter);
    this.length = length;
    if (holdHead) this.holdsHead = true;
  }

  begin(): void {
    this.#chain.attach();
  }

  write(bytes: Buffer, start: number, end: number): void {
    this.#chain.write(bytes, start, end);
  }

  end(trailers: FieldBlock | null): void {
    this.#chain.end(trailers);
  }

  /** False: stop until the source is resumed. */
  flush(): boolean {
    this.#chain.flush();
    this.onFilteredFlush();
    return !this.#isFull && !this.#chain.isFull;
  }

  drained(): void {
    this.#isFull = false;
    this.#chain.drained();
    this.onFilterResume();
  }

  abandon(): void {
    this.#chain.abandon();
  }

  onFiltered(bytes: Buffer, start: number, end: number): boolean {
    this.#release(UNKNOWN_LENGTH);
    this.#owner.sendBytes(bytes, start, end);
    return !this.#isFull;
  }

  onFilteredFlush(): void {
    this.#isFull = !this.#owner.flushDownstream();
  }

  onFilteredEnd(trailers: FieldBlock | null): void {
    this.#release(0);
    this.#owner.complete(trailers);
  }

  onFilteredWhole(bytes: Buffer): void {
    this.#release(bytes.length);
    this.#owner.sendBytes(bytes, 0, bytes.length);
    this.#owner.complete(null);
  }

  onFilterResume(): void {
    if (!this.#isFull && !this.#chain.isFull) this.#owner.resumeSource();
  }

  onFilterFault(fault: Fault): void {
    this.#owner.onFault(fault);
    this.#owner.flushDownstream();
  }

  #release(bodyLength: number): void {
    if (!this.holdsHead) return;
    this.holdsHead = false;
    this.#owner.sendHeldHead(this.length === UNKNOWN_LENGTH ? bodyLength : this.length);
  }
}
