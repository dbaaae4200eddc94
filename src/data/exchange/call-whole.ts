/**
 * A request of the gateway's own to a service, and its response held whole: for compositions and handlers. It goes
 * through that service's balancer, breaker, retries and limits like any other (upstream-call.ts); its size and time are
 * bounded.
 */
import type { Cancellable, Cancellation } from '../../base/cancellation.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import { Deadline, type DeadlineOwner } from '../../base/timers.ts';
import type { Reply } from '../contract/policy.ts';
import type { Head } from '../parser/head.ts';
import type { UpstreamService } from './attempt.ts';
import type { MadeRequest } from './outgoing-request.ts';
import type { RequestBody } from './request-body.ts';
import type { ResponseHandler } from './response-source.ts';
import { type CallHost, type CallOptions, UpstreamCall } from './upstream-call.ts';

/** What of a head is wanted, and read while it is there. */
export interface WantedFields {
  /** Lower case. */
  readonly names: readonly string[];
  readonly cookies: boolean;
}

export interface WholeResponse {
  readonly status: number;
  /** By the places in `WantedFields.names`; several of a name joined with `, `, null for none. */
  readonly values: readonly (string | null)[];
  readonly cookies: readonly string[];
  readonly body: Buffer;
  /** Of the body as it came, with what was dropped of it. */
  readonly bytes: number;
}

export interface CallLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
  readonly wanted: WantedFields;
  /** Null: it is wanted whatever happens. */
  readonly cancellation: Cancellation | null;
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
    if (limits.cancellation?.isCancelled === true) {
      reject(new Fault(FAULTS.downstreamAborted));
      return;
    }
    new WholeCall(host, options, service, request, body, limits, resolve, reject).start();
  });
}

const NONE: readonly never[] = [];

class WholeCall implements ResponseHandler, DeadlineOwner, Cancellable {
  readonly holder = null;
  readonly #host: CallHost;
  readonly #call: UpstreamCall;
  readonly #limits: CallLimits;
  readonly #resolve: (response: WholeResponse) => void;
  readonly #reject: (fault: Fault) => void;
  readonly #deadline: Deadline;
  #status = 0;
  #values: readonly (string | null)[] = NONE;
  #cookies: readonly string[] = NONE;
  /** The body so far; most come in one piece. */
  #first: Buffer | null = null;
  #more: Buffer[] | null = null;
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
    this.#limits.cancellation?.add(this);
    this.#host.wheel.set(this.#deadline, this.#limits.timeoutMs);
    this.#call.start(this.#host.clock.monotonicMs());
  }

  onCancelled(): void {
    this.#giveUp(new Fault(FAULTS.downstreamAborted));
  }

  onDeadline(): void {
    this.#giveUp(new Fault(FAULTS.totalTimeout));
  }

  onInterim(): void {}

  onHead(head: Head): void {
    this.#status = head.status;
    const { names, cookies } = this.#limits.wanted;
    this.#values = names.map((name) => head.valueOf(name));
    if (cookies) this.#cookies = cookiesOf(head);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    const left = this.#limits.maxBytes - this.#length;
    this.#length += end - start;
    if (this.#length > this.#limits.maxBytes) {
      if (this.#limits.truncates === true) {
        if (left > 0) this.#keep(bytes, start, start + left);
        return;
      }
      this.#giveUp(new Fault(FAULTS.upstreamMalformed, { cause: `longer than ${this.#limits.maxBytes} bytes` }));
      return;
    }
    if (end > start) this.#keep(bytes, start, end);
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const piece = Buffer.allocUnsafe(end - start);
    bytes.copy(piece, 0, start, end);
    if (this.#first === null) this.#first = piece;
    else {
      this.#more ??= [this.#first];
      this.#more.push(piece);
    }
  }

  onEnd(): void {
    if (!this.#end()) return;
    this.#resolve({
      status: this.#status,
      values: this.#values,
      cookies: this.#cookies,
      body: this.#more === null ? (this.#first ?? Buffer.alloc(0)) : Buffer.concat(this.#more),
      bytes: this.#length,
    });
  }

  onReply({ status, headers, body }: Reply): void {
    if (!this.#end()) return;
    const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body as Uint8Array);
    const values = this.#limits.wanted.names.map((name) => valueIn(headers, name));
    this.#resolve({ status, values, cookies: NONE, body: bytes, bytes: bytes.byteLength });
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
    this.#limits.cancellation?.remove(this);
    this.#limits.ended?.(this.#call);
    return true;
  }
}

function cookiesOf(head: Head): readonly string[] {
  const cookies: string[] = [];
  for (let i = 0; i < head.count; i++) if (head.name(i).toLowerCase() === 'set-cookie') cookies.push(head.value(i));
  return cookies;
}

function valueIn(headers: Reply['headers'], lowerName: string): string | null {
  for (const name in headers) if (name.toLowerCase() === lowerName) return headers[name]!;
  return null;
}
