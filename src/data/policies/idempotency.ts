/**
 * `idempotency`: a request with an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header) is carried out once. Its
 * response is kept before the client has the end of it; the same request gets it again, one that differs is a mistake,
 * and one that comes while the first is in progress is told so. Kept is what the service said: what transforms make of
 * it is made anew. Decisions are control's (control/idempotency), so they hold for all workers and gateways of one
 * store.
 */
import { createHash, hash } from 'node:crypto';
import { readAddress } from '../../base/address-words.ts';
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import {
  type BeginAnswer,
  type BeginQuestion,
  type FinishQuestion,
  type Held,
  IDEMPOTENCY_ASK_WITHIN_MS,
  IDEMPOTENCY_BEGIN_TOPIC,
  IDEMPOTENCY_FINISH_TOPIC,
  IDEMPOTENCY_RELEASE_TOPIC,
  type KeptIn,
  type KeptResponse,
  RESPONSE_NOT_KNOWN,
} from '../contract/idempotency.ts';
import type { Outcome, PolicyContext, PolicyEnvironment, PolicyHooks } from '../contract/policy.ts';
import { definePolicy } from '../contract/policy.ts';

export interface IdempotencySettings {
  /** Upper case. */
  readonly methods: readonly string[];
  /** A request without key is 400. */
  readonly isRequired: boolean;
  readonly keptIn: KeptIn;
  readonly keptForMs: number;
  readonly inProgressMs: number;
  /** Keys of callers that nobody knows are their address's. */
  readonly bindsToAddress: boolean;
  readonly maxRequestBytes: number;
  readonly maxResponseBytes: number;
  /** Lower case; fields of the response that are kept. */
  readonly fields: readonly string[];
}

/** They say that it was not carried out, or cannot be yet: the same key may try again. */
const NOT_KEPT = [401, 403, 408, 409, 421, 425, 426, 429];
const FIELD = 'Idempotency-Key';
const ADDRESS = new Int32Array(4);

interface State extends Held {
  isDone: boolean;
}

export const idempotency = definePolicy<IdempotencySettings>({
  name: 'idempotency',
  phases: ['requestBody', 'responseHead', 'finish'],
  // What is kept is what the service sent, before anything changes it.
  first: true,
  create: (settings, environment): PolicyHooks => {
    const guard = new RouteGuard(settings, environment);
    return {
      requestBody: (exchange) => guard.begin(exchange),
      responseHead: (exchange) => guard.keep(exchange),
      finish: (exchange) => guard.end(exchange),
    };
  },
});

class RouteGuard {
  readonly #settings: IdempotencySettings;
  readonly #environment: PolicyEnvironment;
  readonly #states = new WeakMap<PolicyContext, State>();

  constructor(settings: IdempotencySettings, environment: PolicyEnvironment) {
    this.#settings = settings;
    this.#environment = environment;
  }

  begin(exchange: PolicyContext): Outcome | Promise<Outcome> {
    if (!this.#settings.methods.includes(exchange.method)) return undefined;
    const field = exchange.header('idempotency-key');
    if (field === null) return this.#settings.isRequired ? wrongKey('required') : undefined;
    const key = keyOf(field);
    return key === null ? wrongKey('1 to 255 visible characters') : this.#begin(exchange, key);
  }

  async #begin(exchange: PolicyContext, key: string): Promise<Outcome> {
    const { keptForMs, inProgressMs, keptIn, maxRequestBytes } = this.#settings;
    const { identity, method, path, query, routeId } = exchange;
    let body: Buffer = Buffer.alloc(0);
    try {
      if (exchange.contentLength !== 0) body = await exchange.readBody(maxRequestBytes);
    } catch (error) {
      if (error instanceof Fault) return error;
      throw error;
    }
    const caller =
      identity === null ? this.#stranger(exchange) : [identity.issuer ?? null, identity.account ?? identity.subject];
    const question: BeginQuestion = {
      keptIn,
      keyHash: hashOf(routeId, caller, key),
      fingerprint: createHash('sha256')
        .update(hashOf(method, path, query))
        .update(body)
        .digest('base64url'),
      keptForMs,
      inProgressMs,
    };
    let answer: BeginAnswer;
    try {
      answer = (await this.#environment.control.ask(
        IDEMPOTENCY_BEGIN_TOPIC,
        question,
        IDEMPOTENCY_ASK_WITHIN_MS,
      )) as BeginAnswer;
    } catch (error) {
      // To carry it out without knowing would be what the key is there to prevent.
      return new Fault(FAULTS.idempotencyUnavailable, { cause: messageOf(error), retryAfterSeconds: 1 });
    }
    switch (answer.kind) {
      case 'first':
        this.#states.set(exchange, { keptIn, keyHash: question.keyHash, begunMs: answer.begunMs, isDone: false });
        exchange.isOnce = true;
        // What is kept is sent to whoever asks again, whatever codings they take.
        exchange.setUpstreamHeader('Accept-Encoding', 'identity');
        return undefined;
      case 'again':
        return replyOf(answer.response, exchange);
      case 'in-progress':
        return new Fault(FAULTS.idempotencyInProgress, { retryAfterSeconds: 1 });
      case 'other-request':
        return new Fault(FAULTS.idempotencyMismatch);
    }
  }

  /**
   * Nobody is known: a key is the address's, or a guessed one (`1`, `order-1`) would give another caller's response
   * away, or spoil the key for them.
   */
  #stranger({ address }: PolicyContext): string | null {
    if (!this.#settings.bindsToAddress) return null;
    const family = readAddress(address, ADDRESS);
    // IPv6 callers change within their /64.
    return family === 6 ? `${ADDRESS[0]} ${ADDRESS[1]}` : address;
  }

  keep(exchange: PolicyContext): void {
    const state = this.#states.get(exchange);
    const { status } = exchange;
    if (state === undefined || exchange.fault !== null || status >= 500 || NOT_KEPT.includes(status)) return;
    const fields = this.#settings.fields.flatMap((name) => {
      const value = exchange.sentHeader(name);
      return value === null ? [] : [[name, value] as const];
    });
    const finish = (body: Buffer | null): Promise<void> =>
      this.#finish(state, body === null ? RESPONSE_NOT_KNOWN : { status, fields, body: body.toString('base64') });
    if (status === 204 || status === 205 || status === 304 || exchange.responseLength === 0)
      void finish(Buffer.alloc(0));
    exchange.filterResponseBody(new KeepingFilter(this.#settings.maxResponseBytes, finish), {
      length: exchange.responseLength,
    });
  }

  end(exchange: PolicyContext): void {
    const state = this.#states.get(exchange);
    if (state === undefined || state.isDone) return;
    this.#states.delete(exchange);
    if (isUnknown(exchange)) void this.#finish(state, RESPONSE_NOT_KNOWN);
    else {
      const held: Held = { keptIn: state.keptIn, keyHash: state.keyHash, begunMs: state.begunMs };
      this.#environment.control.tell(IDEMPOTENCY_RELEASE_TOPIC, held);
    }
  }

  /** Never rejects: where it cannot be kept the key stays in progress for its time. */
  async #finish(state: State, response: KeptResponse): Promise<void> {
    if (state.isDone) return;
    state.isDone = true;
    const { keptIn, keyHash, begunMs } = state;
    const question: FinishQuestion = { keptIn, keyHash, begunMs, response };
    try {
      await this.#environment.control.ask(IDEMPOTENCY_FINISH_TOPIC, question, IDEMPOTENCY_ASK_WITHIN_MS);
    } catch (error) {
      this.#environment.log.error('the response to an idempotency key could not be kept', {
        problem: messageOf(error),
      });
    }
  }
}

/**
 * The client left, the service was late or broke off, or what it said was lost here: whether it has done it nobody
 * knows, so it is not done twice.
 */
function isUnknown({ fault, mayHaveActed }: PolicyContext): boolean {
  if (fault === null) return false;
  if (fault.kind === FAULTS.downstreamAborted) return true;
  return mayHaveActed && fault.kind.retry !== 'always';
}

/** The key of the field: a structured string (`"abc"`) or the bare text. Null for what is no key. */
function keyOf(field: string): string | null {
  const text = /^"(.*)"$/.exec(field.trim())?.[1] ?? field.trim();
  return /^[\x21-\x7e]{1,255}$/.test(text) ? text : null;
}

function wrongKey(expected: string): Fault {
  return new Fault(FAULTS.invalidRequest, { fields: [{ field: `header.${FIELD.toLowerCase()}`, expected }] });
}

function hashOf(...parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url');
}

function replyOf({ status, fields, body }: KeptResponse, exchange: PolicyContext): Outcome {
  if (status === 0) return new Fault(FAULTS.idempotencyLost);
  exchange.logField('idempotency', 'replayed');
  const headers = { ...Object.fromEntries(fields), 'Idempotency-Replayed': 'true' };
  return { status, headers, body: Buffer.from(body, 'base64') };
}

/** Lets a body pass and holds its end back until all of it is kept. */
class KeepingFilter implements BodyFilter {
  readonly #maxBytes: number;
  readonly #finish: (body: Buffer | null) => Promise<void>;
  #out: BodyOutput | null = null;
  #kept = new GatheredBytes();
  #length = 0;

  /** `finish` is called with null where the body was too long to be kept. */
  constructor(maxBytes: number, finish: (body: Buffer | null) => Promise<void>) {
    this.#maxBytes = maxBytes;
    this.#finish = finish;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    this.#length += end - start;
    if (this.#length > this.#maxBytes) this.#kept = new GatheredBytes();
    else this.#kept.add(bytes, start, end);
    return this.#out?.write(bytes, start, end) ?? true;
  }

  flush(): void {
    this.#out?.flush();
  }

  end(trailers: FieldBlock | null): void {
    const body = this.#length > this.#maxBytes ? null : this.#kept.bytes;
    void this.#finish(body).then(() => {
      this.#out?.end(trailers);
      this.#out?.flush();
    });
  }

  resume(): void {
    this.#out?.resume();
  }

  abandon(): void {
    this.#out = null;
    this.#kept = new GatheredBytes();
  }
}
