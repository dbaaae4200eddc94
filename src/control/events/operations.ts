/**
 * What operators may ask of events and do with dead letters, below `/api/features/events` of the admin API: plain data
 * in and out, since it crosses threads. The admin API has found out who asks and writes the audit.
 */

import { AUDIENCES, type Audience } from '../audience.ts';
import type { Consumers } from './deliver/consumers.ts';
import type { Choice } from './deliver/delivery-store.ts';
import { dataText, eventJson } from './event-json.ts';

export interface OperationRequest {
  readonly method: string;
  /** Such as `/dead/audit/17`. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** JSON, or nothing. */
  readonly body: string;
}

export interface OperationResponse {
  readonly status: number;
  readonly body: unknown;
}

export interface ShownStream {
  readonly name: string;
  readonly engine: string;
  readonly latest: string | null;
  readonly problem: string | null;
  readonly subscribers: number;
}

const PAGE = 100;
const MOST = 1_000;

export async function operate(
  request: OperationRequest,
  consumers: Consumers,
  shown: {
    readonly streams: () => readonly ShownStream[];
    readonly asyncapi: (audience: Audience) => Promise<unknown>;
  },
): Promise<OperationResponse> {
  const [what = '', name = '', position] = request.path.split('/').slice(1).map(decodeURIComponent);
  const { method, query } = request;
  if (method === 'GET' && what === 'streams' && name === '') return ok({ streams: shown.streams() });
  if (method === 'GET' && what === 'asyncapi' && name === '') {
    const { audience = 'admin' } = query;
    const known = AUDIENCES.find((each) => each === audience);
    if (known === undefined) return refusal(400, 'VALIDATION_ERROR', `audience is one of ${AUDIENCES.join(', ')}`);
    return ok(await shown.asyncapi(known));
  }
  if (method === 'GET' && what === 'consumers' && name === '') {
    await consumers.count();
    return ok({ consumers: consumers.all.map((consumer) => shownConsumer(consumer, consumers)) });
  }
  if (what !== 'dead') return refusal(404, 'RESOURCE_NOT_FOUND', 'there is no such operation');
  if (method === 'GET' && position !== undefined) return await showDead(consumers, name, position);
  if (method === 'GET') {
    const limit = Math.min(MOST, numberOf(query['limit'], PAGE));
    const choice = { consumer: name === '' ? query['consumer'] : name, subject: query['subject'] };
    const found = await consumers.deliveries.dead(choice, limit, numberOf(query['skip'], 0));
    return ok({ dead: found, hasMore: found.length === limit });
  }
  if (method === 'POST' && (name === 'replay' || name === 'drop')) return await change(name, request.body, consumers);
  return refusal(405, 'METHOD_NOT_ALLOWED', 'GET /dead, POST /dead/replay and POST /dead/drop are what there is');
}

function shownConsumer(consumer: Consumers['all'][number], consumers: Consumers) {
  const { settings, counts } = consumer;
  const rows = consumers.rows.get(settings.name);
  return {
    name: settings.name,
    stream: settings.stream,
    service: settings.service,
    runs: consumer.isHere ? 'here' : 'elsewhere, or not yet',
    position: consumer.position,
    lag: consumer.lag,
    pending: consumer.pending,
    retrying: rows?.retry ?? 0,
    dead: rows?.dead ?? 0,
    delivered: counts.delivered,
    failed: counts.failed,
    problem: consumer.problem,
  };
}

async function showDead(consumers: Consumers, consumer: string, position: string): Promise<OperationResponse> {
  const event = await consumers.deliveries.deadEvent(consumer, position);
  if (event === undefined) return refusal(404, 'RESOURCE_NOT_FOUND', 'there is no such dead letter');
  return ok({ consumer, position, event: JSON.parse(jsonOr(event)) as unknown });
}

/** An event whose data says it is JSON and is none is shown as text. */
function jsonOr(event: Parameters<typeof eventJson>[0]): string {
  const text = eventJson(event);
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify({ id: event.id, subject: event.subject, ...event.attributes, data: dataText(event) });
  }
}

async function change(what: 'replay' | 'drop', body: string, consumers: Consumers): Promise<OperationResponse> {
  const choice = readChoice(body);
  if (choice === null) {
    const message = 'say { "consumer": "NAME" } with "positions", "subject" or "all": true';
    return refusal(400, 'VALIDATION_ERROR', message);
  }
  const count = await consumers.deliveries[what](choice);
  await consumers.count();
  // Another process that delivers finds them by itself.
  if (what === 'replay') await consumers.get(choice.consumer)?.look();
  return ok(what === 'replay' ? { replayed: count } : { dropped: count });
}

function readChoice(text: string): Choice | null {
  let body: Readonly<Record<string, unknown>>;
  try {
    body = JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return null;
  }
  if (typeof body !== 'object' || body === null) return null;
  const { consumer, positions, subject, all } = body;
  if (typeof consumer !== 'string') return null;
  const hasPositions = Array.isArray(positions) && positions.every((each) => typeof each === 'string');
  if (positions !== undefined && (!hasPositions || positions.length === 0 || positions.length > MOST)) return null;
  if (subject !== undefined && typeof subject !== 'string') return null;
  if (positions === undefined && subject === undefined && all !== true) return null;
  return { consumer, positions: positions as string[] | undefined, subject };
}

function numberOf(text: string | undefined, otherwise: number): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : otherwise;
}

const ok = (body: unknown): OperationResponse => ({ status: 200, body });

function refusal(status: number, code: string, message: string): OperationResponse {
  return { status, body: { error: code, message } };
}
