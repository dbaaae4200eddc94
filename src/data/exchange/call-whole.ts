/**
 * A request of the gateway's own to a service, and its response held whole: for compositions and handlers. It goes
 * through that service's balancer, breaker, retries and limits like any other (upstream-call.ts); its size and time are
 * bounded.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { Deadline, type DeadlineOwner } from '../../base/timers.ts';
import type { Reply } from '../contract/policy.ts';
import type { Head } from '../parser/head.ts';
import type { UpstreamService } from './attempt.ts';
import type { MadeRequest } from './outgoing-request.ts';
import type { RequestBody } from './request-body.ts';
import type { ResponseHandler } from './response-source.ts';
import { type CallHost, type CallOptions, UpstreamCall } from './upstream-call.ts';

export interface WholeResponse {
  readonly status: number;
  /** In their order, names as they came. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** Of the body as it came, with what was dropped of it. */
  readonly bytes: number;
}

export interface CallLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** What lies behind `maxBytes` is dropped. Default false: such a response is a fault. */
  readonly truncates?: boolean;
  /** Called once the call is over, before it resolves or rejects. */
  readonly ended?: (call: UpstreamCall) => void;
}

/** Rejects with a `Fault`. */
export function callWhole(
  host: CallHost,
  options: CallOptions,
  service: UpstreamService,
  request: MadeRequest,
  body: RequestBody,
  limits: CallLimits,
): Promise<WholeResponse> {
  return new Promise((resolve, reject) => {
    if (limits.signal.aborted) {
      reject(new Fault(FAULTS.downstreamAborted));
      return;
    }
    new WholeCall(host, options, service, request, body, limits, resolve, reject).start();
  });
}

class WholeCall implements ResponseHandler, DeadlineOwner {
  readonly holder = null;
  readonly #host: CallHost;
  readonly #call: UpstreamCall;
  readonly #limits: CallLimits;
  readonly #resolve: (response: WholeResponse) => void;
  readonly #reject: (fault: Fault) => void;
  readonly #deadline: Deadline;
  readonly #onAbort = (): void => this.#giveUp(new Fault(FAULTS.downstreamAborted));
  #status = 0;
  #fields: [string, string][] = [];
  readonly #parts: Buffer[] = [];
  #length = 0;
  #isDone = false;

  constructor(
    host: CallHost,
    options: CallOptions,
    service: UpstreamService,
    request: MadeRequest,
    body: RequestBody,
    limits: CallLimits,
    resolve: (response: WholeResponse) => void,
    reject: (fault: Fault) => void,
  ) {
    this.#host = host;
    this.#limits = limits;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#call = new UpstreamCall(host, options, service, request, body, this);
    this.#deadline = new Deadline(this, 0);
  }

  start(): void {
    this.#limits.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#host.wheel.set(this.#deadline, this.#limits.timeoutMs);
    this.#call.start(this.#host.clock.monotonicMs());
  }

  onDeadline(): void {
    this.#giveUp(new Fault(FAULTS.totalTimeout));
  }

  onInterim(): void {}

  onHead(head: Head): void {
    this.#status = head.status;
    this.#fields = Array.from({ length: head.count }, (_, i) => [head.name(i), head.value(i)]);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    const left = this.#limits.maxBytes - this.#length;
    this.#length += end - start;
    if (this.#length > this.#limits.maxBytes) {
      if (this.#limits.truncates === true) {
        if (left > 0) this.#parts.push(Buffer.from(bytes.subarray(start, start + left)));
        return;
      }
      this.#giveUp(new Fault(FAULTS.upstreamMalformed, { cause: `longer than ${this.#limits.maxBytes} bytes` }));
      return;
    }
    this.#parts.push(Buffer.from(bytes.subarray(start, end)));
  }

  onEnd(): void {
    if (!this.#end()) return;
    this.#resolve({
      status: this.#status,
      fields: this.#fields,
      body: Buffer.concat(this.#parts),
      bytes: this.#length,
    });
  }

  onReply({ status, headers, body }: Reply): void {
    if (!this.#end()) return;
    const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body as Uint8Array);
    this.#resolve({ status, fields: Object.entries(headers), body: bytes, bytes: bytes.byteLength });
  }

  onUpgraded(): void {
    this.#giveUp(new Fault(FAULTS.upstreamMalformed));
  }

  onFault(fault: Fault): void {
    if (this.#end()) this.#reject(fault);
  }

  onRequestDrain(): void {}

  flush(): boolean {
    return true;
  }

  #giveUp(fault: Fault): void {
    if (!this.#end()) return;
    this.#call.abandon();
    this.#reject(fault);
  }

  #end(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    this.#host.wheel.remove(this.#deadline);
    this.#limits.signal.removeEventListener('abort', this.#onAbort);
    this.#limits.ended?.(this.#call);
    return true;
  }
}
