/**
 * One API made ready: which method a request calls, its message out of path, query and body, and the JSON of a
 * response. Knows nothing of connections; used by exchange/transcoded-call.ts. Not re-entrant, which is safe because
 * nothing waits.
 */
import { JsonEncoder, type JsonProblem } from '../../base/protobuf/json-to-wire.ts';
import { type MessageType, TypeSet } from '../../base/protobuf/types.ts';
import { WireFault } from '../../base/protobuf/wire.ts';
import { JsonDecoder } from '../../base/protobuf/wire-to-json.ts';
import { type Violation, violation } from '../content/violation.ts';
import type { TranscodeApi, TranscodeBinding, TranscodeSettings } from '../contract/transcode.ts';
import { BindingTable, type Bound, type Lookup } from './binding-table.ts';
import { FRAME_ROOM, frame } from './message-reader.ts';
import { readExactJson, requestValue } from './request-value.ts';
import { type RpcStatus, statusJson } from './status.ts';

const HTTP_BODY = 'google.api.HttpBody';
const STATUS = 'google.rpc.Status';
const LINE_FEED = 0x0a;

/** What a client gets of one message. */
export interface Content {
  readonly type: string;
  readonly bytes: Buffer;
}

type Settings = Pick<TranscodeSettings, 'fileNames' | 'defaults' | 'ignoreQuery'>;

export class Transcoder {
  readonly #settings: Settings;
  readonly #types: TypeSet;
  readonly #table: BindingTable;
  readonly #encoder: JsonEncoder;
  readonly #decoder: JsonDecoder;
  readonly #statusDecoder: JsonDecoder;

  /** Throws a `TypeError` when types or templates are not what control has checked. */
  constructor(api: TranscodeApi, settings: Settings) {
    this.#settings = settings;
    this.#types = new TypeSet(api.schema);
    this.#table = new BindingTable(api.bindings);
    this.#encoder = new JsonEncoder(this.#types);
    this.#decoder = new JsonDecoder(this.#types, settings);
    this.#statusDecoder = new JsonDecoder(this.#types);
  }

  find(method: string, path: string): Lookup {
    return this.#table.find(method, path);
  }

  /**
   * The framed message, or what is wrong with the request. `contentType` is used where the method takes a body as it
   * is.
   */
  request(bound: Bound, query: string, body: Buffer, contentType: string | null): Buffer | readonly Violation[] {
    const { binding } = bound;
    if (binding.body === '' && body.length > 0) return [violation('', undefined, 'no body: the method takes none')];
    if (!binding.clientStreams) return this.#message(bound, query, body, contentType);
    const frames: Buffer[] = [];
    for (const line of linesOf(body)) {
      const made = this.#message(bound, query, line, contentType);
      if (!Buffer.isBuffer(made)) return made;
      frames.push(made);
    }
    return Buffer.concat(frames);
  }

  #message(bound: Bound, query: string, body: Buffer, contentType: string | null): Buffer | readonly Violation[] {
    const { binding } = bound;
    const input = this.#types.message(binding.input);
    const wrong: Violation[] = [];
    const isRaw = this.#bodyType(input, binding.body)?.name === HTTP_BODY;
    const content = isRaw ? { contentType: contentType ?? '', data: body } : undefined;
    const value = isRaw ? content : body.length === 0 ? undefined : readExactJson(body, wrong);
    if (wrong.length > 0) return wrong;
    const made = requestValue(input, bound, query, this.#settings.ignoreQuery, value);
    const message = this.#encoder.encode(input, made.value, FRAME_ROOM);
    const problems =
      message === null ? this.#encoder.problems.map((each) => violationOf(each, binding, input, made.places)) : [];
    const all = [...made.violations, ...problems];
    return message === null || all.length > 0 ? all : frame(message);
  }

  #bodyType(input: MessageType, body: string): MessageType | null {
    return body === '*' ? input : (input.byName.get(body)?.message ?? null);
  }

  /** Throws a `WireFault` when the bytes are no such message. */
  response(binding: TranscodeBinding, bytes: Buffer): Content {
    const output = this.#types.message(binding.output);
    const field = output.byName.get(binding.responseBody);
    const whole = this.#decoder.decode(output, bytes) as Record<string, unknown>;
    let value: unknown = whole;
    if (field !== undefined) {
      const empty = field.mapKey !== null ? {} : field.repeated ? [] : null;
      value = whole[this.#settings.fileNames ? field.name : field.jsonName] ?? empty;
    }
    if ((field === undefined ? output : field.message)?.name === HTTP_BODY && value !== null) return rawContent(value);
    return { type: 'application/json', bytes: Buffer.from(JSON.stringify(value), 'utf8') };
  }

  status(code: number, message: string | null, details: string | null): RpcStatus {
    return statusJson(code, message, details, this.#statusDecoder, this.#types.message(STATUS));
  }
}

/** What may stand in a field: a service may have it from anybody, and a line end in it would be another field. */
const FIELD_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** A field of google.api.HttpBody by either name. Throws a `WireFault` when its type is none. */
function rawContent(value: unknown): Content {
  const { contentType, content_type, data } = value as Readonly<Record<string, string | undefined>>;
  const type = contentType || content_type || 'application/octet-stream';
  if (!FIELD_VALUE.test(type)) throw new WireFault(`the content type ${JSON.stringify(type.slice(0, 100))}`);
  return { type, bytes: Buffer.from(data ?? '', 'base64') };
}

function violationOf(
  { path, value, expected }: JsonProblem,
  { body }: TranscodeBinding,
  input: MessageType,
  places: ReadonlyMap<string, string>,
): Violation {
  for (const [pointer, place] of places)
    if (path === pointer || path.startsWith(`${pointer}/`)) return violation(place, value, expected);
  const prefix = body === '' || body === '*' ? '' : `/${input.byName.get(body)?.jsonName ?? body}`;
  return violation(path.startsWith(prefix) ? path.slice(prefix.length) : path, value, expected);
}

function* linesOf(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; ) {
    const found = body.indexOf(LINE_FEED, at);
    const end = found < 0 ? body.length : found;
    const line = body.subarray(at, end);
    if (line.toString('latin1').trim() !== '') yield line;
    at = end + 1;
  }
}
