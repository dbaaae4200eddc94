/**
 * What policies do with a request body: one that reads it whole, and filters between the client and who takes it. Made
 * when the first policy asks for it; all other exchanges hand their bytes straight to the body (request-body.ts).
 */
import type { Fault } from '../../base/errors.ts';
import type { BodyFilter } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import { UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { Downstream } from './downstream.ts';
import type { BodySink } from './filter-chain.ts';
import { FilterChain } from './filter-chain.ts';
import type { RequestBody } from './request-body.ts';
import { tooLarge } from './route-faults.ts';

/** The exchange. */
export interface RequestBodyOwner {
  readonly downstream: Downstream;
  body: RequestBody;
  onFault(fault: Fault): void;
}

interface Reading {
  readonly maxBytes: number;
  readonly resolve: (body: Buffer) => void;
  readonly reject: (fault: Fault) => void;
}

export class RequestBodyWork implements BodySink {
  readonly #owner: RequestBodyOwner;
  #chain: FilterChain | null = null;
  /** Filters are in use, so that no other can be added. */
  #isSealed = false;
  #length = UNKNOWN_LENGTH;
  #reading: Reading | null = null;

  constructor(owner: RequestBodyOwner) {
    this.#owner = owner;
  }

  get changesLength(): boolean {
    return this.#chain !== null;
  }

  filter(filter: BodyFilter, length: number): void {
    const { body } = this.#owner;
    if (this.#isSealed) {
      if (!body.complete) throw new TypeError('a request body cannot be filtered while it is read');
      // It was read whole before; the result goes through this filter.
      this.#isSealed = false;
      this.#chain = null;
    }
    if (body.length === 0) {
      filter.abandon();
      return;
    }
    this.#chain ??= new FilterChain(this);
    this.#chain.add(filter);
    this.#length = length;
  }

  /** From here on bytes go through the filters; those that came before them do now. */
  seal(): void {
    if (this.#isSealed) return;
    this.#isSealed = true;
    const chain = this.#chain;
    if (chain === null) return;
    const { body } = this.#owner;
    const { complete, trailers } = body;
    const early = body.reopen(this.#length);
    chain.attach();
    for (const part of early) this.#write(chain, part);
    if (complete) chain.end(trailers);
  }

  read(maxBytes: number): Promise<Buffer> {
    const { body, downstream } = this.#owner;
    if (this.#reading !== null) throw new TypeError('the body is being read already');
    const isFiltered = this.#chain !== null;
    this.seal();
    if (!isFiltered && body.length > maxBytes) return Promise.reject(tooLarge(maxBytes));
    if (body.complete)
      return body.received > maxBytes ? Promise.reject(tooLarge(maxBytes)) : Promise.resolve(body.whole());
    const read = new Promise<Buffer>((resolve, reject) => {
      this.#reading = { maxBytes, resolve, reject };
    });
    // The exchange may end before this does.
    read.catch(() => {});
    downstream.sendContinue();
    downstream.resumeBody();
    return read;
  }

  // --- from the client -------------------------------------------------------------------------------------------

  onBytes(bytes: Uint8Array, isVolatile: boolean): void {
    const chain = this.#chain;
    if (chain === null || !this.#isSealed) {
      this.#take(bytes, isVolatile);
      return;
    }
    this.#write(chain, bytes);
    if (chain.isFull) this.#owner.downstream.pauseBody();
  }

  #write(chain: FilterChain, bytes: Uint8Array): void {
    chain.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
  }

  /** All of one read was handed over. */
  onRead(): void {
    if (this.#isSealed) this.#chain?.flush();
  }

  onEnd(trailers: FieldBlock | null): void {
    if (this.#chain !== null && this.#isSealed) this.#chain.end(trailers);
    else this.#end(trailers);
  }

  /** Who takes the body takes bytes again. */
  drained(): void {
    if (this.#isSealed) this.#chain?.drained();
    if (this.#chain?.isFull !== true) this.#owner.downstream.resumeBody();
  }

  /** The exchange is over. */
  abandon(fault: Fault): void {
    this.#chain?.abandon();
    this.#reading?.reject(fault);
    this.#reading = null;
  }

  // --- behind the filters ----------------------------------------------------------------------------------------

  #take(bytes: Uint8Array, isVolatile: boolean): boolean {
    const { body, downstream } = this.#owner;
    const isTaken = body.take(bytes, isVolatile);
    const reading = this.#reading;
    if (reading !== null) {
      if (body.received <= reading.maxBytes) return true;
      this.#reading = null;
      reading.reject(tooLarge(reading.maxBytes));
    }
    if (!isTaken) downstream.pauseBody();
    return isTaken;
  }

  #end(trailers: FieldBlock | null): void {
    const { body } = this.#owner;
    body.end(trailers);
    const reading = this.#reading;
    this.#reading = null;
    reading?.resolve(body.whole());
  }

  onFiltered(bytes: Buffer, start: number, end: number): boolean {
    return this.#take(bytes.subarray(start, end), true);
  }

  onFilteredFlush(): void {
    if (!this.#owner.body.flush()) this.#owner.downstream.pauseBody();
  }

  onFilteredEnd(trailers: FieldBlock | null): void {
    this.#end(trailers);
    this.#owner.body.flush();
  }

  onFilteredWhole(bytes: Buffer): void {
    const { body } = this.#owner;
    if (body.consumer === null) body.reopen(bytes.length);
    this.#take(bytes, false);
    this.onFilteredEnd(null);
  }

  onFilterResume(): void {
    this.#owner.downstream.resumeBody();
  }

  onFilterFault(fault: Fault): void {
    const reading = this.#reading;
    this.#reading = null;
    if (reading !== null) {
      reading.reject(fault);
      return;
    }
    this.#owner.onFault(fault);
    this.#owner.downstream.flush();
  }
}
