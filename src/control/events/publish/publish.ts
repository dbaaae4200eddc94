/**
 * `publish` routes: reads the request as an event, or a batch of them, hands it to the stream's engine and responds 202
 * when it is durable there, or in the outbox. What is not durable is never 202; of a batch, nothing is handed over
 * before all of it is known to be right, and 202 means all of it. Called by the bridge for each request.
 */
import { randomUUID } from 'node:crypto';
import type { PublishSettings } from '../../../data/contract/events.ts';
import type { SubjectTest } from '../../../data/contract/subjects.ts';
import { EngineFault, type EventEngine, type NewEvent } from '../engines/engine.ts';
import { invalid, methodNotAllowed, REFUSALS, type Refusal, unavailable } from '../http.ts';
import type { ChannelRequest } from '../link/request.ts';
import { type EventParts, isBatch, readBatch, readEvent } from './cloud-event.ts';
import { fingerprint, hashKey, type IdempotencyKeys, type KeptResponse, parseKey } from './idempotency.ts';
import type { Outbox } from './outbox.ts';
import type { StatusTokens } from './status-tokens.ts';

export interface PublishTarget {
  readonly engine: EventEngine;
  readonly isRoutable: SubjectTest;
}

export interface PublisherParts {
  readonly keys: IdempotencyKeys;
  readonly outbox: Outbox;
  readonly tokens: StatusTokens;
  readonly wallMs?: () => number;
}

/** What became of publications, for metrics, by stream. */
export type PublishOutcome = 'accepted' | 'queued' | 'duplicate' | 'refused' | 'unavailable' | 'set_aside';

/** What a request asks to publish. */
interface Publication {
  readonly parts: readonly EventParts[];
  /** It came as a batch, of however many. */
  readonly batched: boolean;
  readonly keyHash: string | null;
}

/** An event that is durable, and where. */
interface Handed {
  readonly event: NewEvent;
  readonly status: 'accepted' | 'queued';
  readonly position: string | null;
  /** Of its row in the outbox. */
  readonly number: number | null;
}

export class Publisher {
  readonly #keys: IdempotencyKeys;
  readonly #outbox: Outbox;
  readonly #tokens: StatusTokens;
  readonly #wallMs: () => number;
  readonly counts = new Map<string, Map<PublishOutcome, number>>();

  constructor({ keys, outbox, tokens, wallMs = Date.now }: PublisherParts) {
    this.#keys = keys;
    this.#outbox = outbox;
    this.#tokens = tokens;
    this.#wallMs = wallMs;
  }

  /** Undefined: the response was sent, or nobody waits for one. */
  async serve(request: ChannelRequest, settings: PublishSettings, target: PublishTarget): Promise<Refusal | undefined> {
    const refusal = await this.#serve(request, settings, target);
    if (refusal !== undefined) this.#count(settings.stream, refusal.status === 503 ? 'unavailable' : 'refused');
    return refusal;
  }

  /** One that was queued, and that the engine will never take. */
  setAside(stream: string): void {
    this.#count(stream, 'set_aside');
  }

  async #serve(
    request: ChannelRequest,
    settings: PublishSettings,
    target: PublishTarget,
  ): Promise<Refusal | undefined> {
    const { call, body } = request;
    if (request.method !== 'POST' && request.method !== 'PUT') return methodNotAllowed('POST, PUT');
    const field = request.headers['idempotency-key'];
    const key = field === undefined ? undefined : parseKey(field);
    if (key === null) return invalid(400, 'Idempotency-Key', field ?? '', '1 to 255 visible characters');
    if (key === undefined && settings.idempotencyKey === 'required') {
      return invalid(400, 'Idempotency-Key', '', 'a key of the request, such as a UUID');
    }
    const type = settings.type === '' ? call.subject : settings.type;
    const defaults = { ...settings, type, nowMs: this.#wallMs() };
    const batched = isBatch(request.headers);
    const read = batched ? readBatch(request.headers, body, defaults) : readEvent(request.headers, body, defaults);
    if ('status' in read) return read;
    if (!target.isRoutable(call.subject)) {
      return { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'no stream takes events of this subject' };
    }
    const parts = 'attributes' in read ? [read] : read;
    if (key === undefined) return this.#publish(request, settings, target, { parts, batched, keyHash: null });
    const keyHash = hashKey(call.route, call.account ?? call.address, key);
    const state = await this.#keys.begin(keyHash, printOf(request, parts, batched), settings.keysForMs);
    if (state.kind === 'again') {
      this.#count(settings.stream, 'duplicate', parts.length);
      respond(request, state.response, { 'Idempotency-Replayed': 'true' });
      return undefined;
    }
    if (state.kind === 'in-progress') {
      const message = 'a request with this Idempotency-Key is in progress';
      return { status: 409, code: 'REQUEST_IN_PROGRESS', message, headers: { 'retry-after': '1' } };
    }
    if (state.kind === 'other-request') {
      const message = 'this Idempotency-Key was used for another request';
      return { status: 422, code: 'IDEMPOTENCY_KEY_REUSED', message };
    }
    return this.#publish(request, settings, target, { parts, batched, keyHash });
  }

  async #publish(
    request: ChannelRequest,
    settings: PublishSettings,
    target: PublishTarget,
    { parts, batched, keyHash }: Publication,
  ): Promise<Refusal | undefined> {
    const { subject, key } = request.call;
    const events = parts.map((each, index): NewEvent => {
      // What is not acknowledged may be there all the same; handed over again, it must not be there twice.
      const ownKey = keyHash !== null && batched ? `${keyHash}.${index}` : keyHash;
      const dedupeId = ownKey ?? (settings.outbox ? randomUUID() : null);
      return { ...each, subject, key: key ?? subject, dedupeId };
    });
    let kept: KeptResponse;
    try {
      const [only] = events;
      kept =
        batched || only === undefined
          ? this.#batchResponse(await this.#handAll(events, settings, target.engine), settings.stream, subject)
          : this.#response(await this.#hand(only, settings, target.engine), settings.stream);
    } catch (error) {
      if (keyHash !== null) await this.#keys.release(keyHash).catch(() => {});
      if (error instanceof EngineFault) return refusalOf(error);
      throw error;
    }
    // It is durable: a key that cannot be written down now costs a repetition, which the engine recognises.
    if (keyHash !== null) await this.#keys.finish(keyHash, kept).catch(() => {});
    respond(request, kept);
    return undefined;
  }

  async #hand(event: NewEvent, settings: PublishSettings, engine: EventEngine): Promise<Handed> {
    const { stream } = settings;
    if (settings.outbox && this.#outbox.holds(stream)) return this.#queue(event, stream);
    try {
      const { position, duplicate } = await engine.publish(stream, event, settings.ackTimeoutMs);
      this.#count(stream, duplicate ? 'duplicate' : 'accepted');
      return { event, status: 'accepted', position, number: null };
    } catch (error) {
      if (!isForOutbox(error, settings)) throw error;
      return await this.#queue(event, stream);
    }
  }

  /** In their order: engines keep that of publications that begin in one turn. Rejects when one of them cannot be. */
  async #handAll(events: readonly NewEvent[], settings: PublishSettings, engine: EventEngine): Promise<Handed[]> {
    const { stream } = settings;
    const isQueueing = settings.outbox && this.#outbox.holds(stream);
    const handed: Handed[] = [];
    const tried = isQueueing
      ? events.map(() => null)
      : await Promise.allSettled(events.map((event) => engine.publish(stream, event, settings.ackTimeoutMs)));
    for (const each of tried) {
      if (each?.status === 'rejected' && !isForOutbox(each.reason, settings)) throw each.reason;
    }
    for (const [index, each] of tried.entries()) {
      const event = events[index]!;
      if (each?.status !== 'fulfilled') {
        handed.push(await this.#queue(event, stream));
        continue;
      }
      const { position, duplicate } = each.value;
      this.#count(stream, duplicate ? 'duplicate' : 'accepted');
      handed.push({ event, status: 'accepted', position, number: null });
    }
    return handed;
  }

  async #queue(event: NewEvent, stream: string): Promise<Handed> {
    const number = await this.#outbox.add(stream, event).catch((error: unknown) => {
      if (error instanceof EngineFault) throw error;
      throw new EngineFault('unavailable', 'neither the engine nor the outbox can be reached');
    });
    this.#count(stream, 'queued');
    return { event, status: 'queued', position: null, number };
  }

  #response(handed: Handed, stream: string): KeptResponse {
    const { event, position, status } = handed;
    const body = { id: event.id, stream, subject: event.subject, position, status, time: event.attributes['time'] };
    return { status: 202, body, location: this.#location(handed, stream) };
  }

  #batchResponse(all: readonly Handed[], stream: string, subject: string): KeptResponse {
    const events = all.map((handed) => {
      const { event, position, status } = handed;
      const location = this.#location(handed, stream);
      return {
        id: event.id,
        position,
        status,
        time: event.attributes['time'],
        ...(location === null ? {} : { location }),
      };
    });
    const status = all.some((each) => each.status === 'queued') ? 'queued' : 'accepted';
    return { status: 202, body: { stream, subject, status, events }, location: null };
  }

  #location({ event, position, number }: Handed, stream: string): string | null {
    return this.#tokens.location({ id: event.id, stream, position, number });
  }

  #count(stream: string, outcome: PublishOutcome, events = 1): void {
    const counts = this.counts.get(stream) ?? new Map<PublishOutcome, number>();
    this.counts.set(stream, counts);
    counts.set(outcome, (counts.get(outcome) ?? 0) + events);
  }
}

/** The same for the same request. */
function printOf({ method, call, body }: ChannelRequest, parts: readonly EventParts[], batched: boolean): string {
  const [only] = parts;
  if (batched || only === undefined) return fingerprint([method, call.subject, 'batch', body]);
  return fingerprint([method, call.subject, only.contentType, only.attributes['type'] ?? '', only.data]);
}

function isForOutbox(error: unknown, settings: PublishSettings): boolean {
  return settings.outbox && error instanceof EngineFault && error.kind === 'unavailable';
}

function respond(request: ChannelRequest, { status, body, location }: KeptResponse, more = {}): void {
  request.sendJson(status, body, { ...(location === null ? {} : { Location: location }), ...more });
}

function refusalOf({ kind, message }: EngineFault): Refusal {
  switch (kind) {
    case 'too-large':
      return REFUSALS.tooLarge;
    case 'unroutable':
      return { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'no stream takes events of this subject' };
    case 'full':
      return unavailable(message, 10);
    default:
      return unavailable('the event could not be made durable', 5);
  }
}
