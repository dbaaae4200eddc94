/**
 * Events as Kafka records and back: CloudEvents in binary mode (Kafka protocol binding §3.2), so that other programs
 * on the topic understand them, and theirs are events here, whether they are CloudEvents or not.
 */
import { asBuffer } from './embedded.ts';
import type { NewEvent, StoredEvent } from './engine.ts';

const PREFIX = 'ce_';
const CONTENT_TYPE = 'content-type';
/** The subject that routes are about; `ce_subject` says it to others. */
const SUBJECT = 'ce_subject';
const ID = 'ce_id';
const VERSION = 'ce_specversion';
const DEDUPE = 'gatehouse_dedupe';
/** Events whose publisher said no type. */
const BYTES = 'application/octet-stream';

export interface RecordOut {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly headers: Map<Buffer, Buffer>;
}

export interface RecordIn {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [Buffer | null, Buffer | null])[];
}

export function recordOf(event: NewEvent): RecordOut {
  const { id, subject, key, contentType, attributes, data, dedupeId } = event;
  const headers = new Map<Buffer, Buffer>();
  const put = (name: string, text: string): void => void headers.set(Buffer.from(name), Buffer.from(text));
  put(VERSION, '1.0');
  put(ID, id);
  put(SUBJECT, subject);
  put(CONTENT_TYPE, contentType);
  for (const [name, text] of Object.entries(attributes)) put(PREFIX + name, text);
  if (dedupeId !== null) put(DEDUPE, dedupeId);
  return { key: Buffer.from(key), value: asBuffer(data), headers };
}

/**
 * An event of a record, also of one that another program wrote: without `ce_id` its place is its id, without
 * `ce_subject` its topic is its subject.
 */
export function eventOfRecord({ key, value, headers }: RecordIn, topic: string, offset: bigint): StoredEvent {
  const found = new Map(headers.map(([name, text]) => [name?.toString() ?? '', text?.toString() ?? '']));
  const attributes: Record<string, string> = {};
  for (const [name, text] of found) {
    const isOurs = name === ID || name === SUBJECT || name === VERSION;
    if (!isOurs && name.startsWith(PREFIX)) attributes[name.slice(PREFIX.length)] = text;
  }
  return {
    position: String(offset),
    id: found.get(ID) ?? `${topic}-${offset}`,
    subject: found.get(SUBJECT) ?? topic,
    key: key?.toString() ?? '',
    contentType: found.get(CONTENT_TYPE) ?? BYTES,
    attributes,
    data: value ?? Buffer.alloc(0),
    dedupeId: found.get(DEDUPE) ?? null,
  };
}
