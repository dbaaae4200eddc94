/**
 * `publish` routes: reads the request as an event, hands it to the stream's engine and responds 202 when it is durable
 * there, or in the outbox. What is not durable is never 202. Called by the bridge for each request.
 */
import { randomUUID } from 'node:crypto';
import type { PublishSettings } from '../../../data/contract/events.ts';
import type { SubjectTest } from '../../../data/contract/subjects.ts';
import { EngineFault, type EventEngine, type NewEvent } from '../engines/engine.ts';
import { invalid, methodNotAllowed, REFUSALS, type Refusal, unavailable } from '../http.ts';
import type { ChannelRequest } from '../link/request.ts';
import { type EventParts, readEvent } from './cloud-event.ts';
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
export type PublishOutcome = 'accepted' | 'queued' | 'duplicate' | 'refused' | 'unavailable';

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
    const parts = readEvent(request.headers, body, { ...settings, type, nowMs: this.#wallMs() });
    if ('status' in parts) return parts;
    if (!target.isRoutable(call.subject)) {
      return { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'no stream takes events of this subject' };
    }
    if (key === undefined) return this.#publish(request, settings, target, parts, null);
    const keyHash = hashKey(call.route, call.caller ?? call.address, key);
    const print = fingerprint([
      request.method,
      call.subject,
      parts.contentType,
      parts.attributes['type'] ?? '',
      parts.data,
    ]);
    const state = await this.#keys.begin(keyHash, print, settings.keysForMs);
    if (state.kind === 'again') {
      this.#count(settings.stream, 'duplicate');
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
    return this.#publish(request, settings, target, parts, keyHash);
  }

  async #publish(
    request: ChannelRequest,
    settings: PublishSettings,
    target: PublishTarget,
    parts: EventParts,
    keyHash: string | null,
  ): Promise<Refusal | undefined> {
    // What is not acknowledged may be there all the same; handed over by the outbox, it must not be there twice.
    const { call } = request;
    const dedupeId = keyHash ?? (settings.outbox ? randomUUID() : null);
    const event: NewEvent = { ...parts, subject: call.subject, key: call.key ?? call.subject, dedupeId };
    let kept: KeptResponse;
    try {
      kept = await this.#hand(event, settings, target.engine);
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

  async #hand(event: NewEvent, settings: PublishSettings, engine: EventEngine): Promise<KeptResponse> {
    const { stream } = settings;
    if (settings.outbox && this.#outbox.holds(stream)) return this.#queue(event, stream);
    try {
      const { position, duplicate } = await engine.publish(stream, event, settings.ackTimeoutMs);
      this.#count(stream, duplicate ? 'duplicate' : 'accepted');
      return this.#response(event, stream, { status: 'accepted', position, number: null });
    } catch (error) {
      if (!settings.outbox || !(error instanceof EngineFault) || error.kind !== 'unavailable') throw error;
      return await this.#queue(event, stream);
    }
  }

  async #queue(event: NewEvent, stream: string): Promise<KeptResponse> {
    const number = await this.#outbox.add(stream, event).catch((error: unknown) => {
      if (error instanceof EngineFault) throw error;
      throw new EngineFault('unavailable', 'neither the engine nor the outbox can be reached');
    });
    this.#count(stream, 'queued');
    return this.#response(event, stream, { status: 'queued', position: null, number });
  }

  #response(
    event: NewEvent,
    stream: string,
    where: {
      readonly status: 'accepted' | 'queued';
      readonly position: string | null;
      readonly number: number | null;
    },
  ): KeptResponse {
    const { status, position, number } = where;
    const body = { id: event.id, stream, subject: event.subject, position, status, time: event.attributes['time'] };
    return { status: 202, body, location: this.#tokens.location({ id: event.id, stream, position, number }) };
  }

  #count(stream: string, outcome: PublishOutcome): void {
    const counts = this.counts.get(stream) ?? new Map<PublishOutcome, number>();
    this.counts.set(stream, counts);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
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
