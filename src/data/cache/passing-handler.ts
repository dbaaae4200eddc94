/**
 * A response on its way through: everything goes on to the next handler. Those who act on a part of it override that.
 */
import type { Fault } from '../../base/errors.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { ResponseHandler } from '../exchange/response-source.ts';
import type { BytesHolder } from '../exchange/upstream-stream.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';

export class PassingHandler implements ResponseHandler {
  protected readonly next: ResponseHandler;

  constructor(next: ResponseHandler) {
    this.next = next;
  }

  onHead(head: Head, framing: MessageFraming): void {
    this.next.onHead(head, framing);
  }

  onInterim(head: Head): void {
    this.next.onInterim(head);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.next.onBody(bytes, start, end);
  }

  onEnd(trailers: FieldBlock | null): void {
    this.next.onEnd(trailers);
  }

  onReply(reply: Reply): void {
    this.next.onReply(reply);
  }

  onUpgraded(head: Head, protocol: string, rest: Buffer): void {
    this.next.onUpgraded(head, protocol, rest);
  }

  onFault(fault: Fault): void {
    this.next.onFault(fault);
  }

  flush(): boolean {
    return this.next.flush();
  }

  get holder(): BytesHolder | null {
    return this.next.holder;
  }

  onRequestDrain(): void {
    this.next.onRequestDrain();
  }
}
