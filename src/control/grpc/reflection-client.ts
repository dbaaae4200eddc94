/**
 * Asks a gRPC service what it offers: server reflection (github.com/grpc/grpc/blob/master/doc/server-reflection.md),
 * `grpc.reflection.v1` and, where that is not known, `v1alpha`, which is the same on the wire. One connection and one
 * stream for all questions. What an instance sends is bounded in bytes, files and time.
 */
import type http2 from 'node:http2';
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import { JsonEncoder } from '../../base/protobuf/json-to-wire.ts';
import { TypeSet } from '../../base/protobuf/types.ts';
import { WireFault } from '../../base/protobuf/wire.ts';
import { JsonDecoder } from '../../base/protobuf/wire-to-json.ts';
import { openHttp2 } from '../health/grpc-probe.ts';
import { authorityOf, type ProbeAddress, socketFault } from '../health/probe.ts';
import { fileHead } from './descriptor-set.ts';
import { readProtoFiles } from './proto-files.ts';

/** What cannot be found out, and why; for a person. */
export class ReflectionFault extends Error {}

const VERSIONS = ['v1', 'v1alpha'] as const;
const DEADLINE_MS = 10_000;
const MOST_FILES = 2_000;
const MOST_BYTES = 16 * 1024 * 1024;
const PREFIX_BYTES = 5;
const UNIMPLEMENTED = 12;
/** What every reflecting server has beside its own services, of no use as JSON. */
const OWN_SERVICES = /^grpc\.(reflection|health|channelz)\./;

const PROTO = `syntax = "proto3";
package reflection;
message Request {
  string host = 1;
  oneof message_request { string file_by_filename = 3; string file_containing_symbol = 4; string list_services = 7; }
}
message Response {
  Files file_descriptor_response = 4;
  Services list_services_response = 6;
  Problem error_response = 7;
}
message Files { repeated bytes file_descriptor_proto = 1; }
message Services { repeated Service service = 1; }
message Service { string name = 1; }
message Problem { int32 error_code = 1; string error_message = 2; }
`;

interface Response {
  readonly file_descriptor_response?: { readonly file_descriptor_proto?: readonly string[] };
  readonly list_services_response?: { readonly service?: readonly { readonly name: string }[] };
  readonly error_response?: { readonly error_code?: number; readonly error_message?: string };
}

type Question =
  | { readonly list_services: string }
  | { readonly file_containing_symbol: string }
  | { readonly file_by_filename: string };

let knownTypes: TypeSet | null = null;

function types(): TypeSet {
  knownTypes ??= new TypeSet(readProtoFiles([{ name: 'reflection.proto', text: PROTO }], () => undefined).schema);
  return knownTypes;
}

/** Serialized files, each once, of these services and what they import; `wanted` null: of all that the instance has. */
export async function reflect(address: ProbeAddress, wanted: readonly string[] | null): Promise<readonly Buffer[]> {
  // Loaded when the first service is asked, as by probes.
  const { connect } = await import('node:http2');
  const secure = address.protocol === 'https';
  const session = openHttp2(connect, address, secure);
  const lost = new Promise<never>((_, reject) => {
    session.on('error', (error) => reject(new ReflectionFault(socketFault(error).reason ?? error.message)));
    session.on('close', () => reject(new ReflectionFault('the connection was closed')));
    session.setTimeout(DEADLINE_MS, () => reject(new ReflectionFault(`no answer within ${DEADLINE_MS} ms`)));
  });
  lost.catch(() => {});
  const timer = setTimeout(() => session.destroy(), DEADLINE_MS * 3);
  try {
    return await Promise.race([lost, readAll(session, authorityOf(address, secure), wanted)]);
  } finally {
    clearTimeout(timer);
    session.destroy();
  }
}

async function readAll(
  session: http2.ClientHttp2Session,
  authority: string,
  wanted: readonly string[] | null,
): Promise<readonly Buffer[]> {
  let questions: Questions | null = null;
  let list: Response | null = null;
  for (const version of VERSIONS) {
    questions = new Questions(session, authority, version);
    list = await questions.ask({ list_services: '*' });
    if (list !== null) break;
  }
  if (questions === null || list === null)
    throw new ReflectionFault('the service does not reflect (UNIMPLEMENTED): turn on server reflection there');
  const offered = (list.list_services_response?.service ?? []).map(({ name }) => name);
  const missing = wanted?.find((name) => !offered.includes(name));
  if (missing !== undefined)
    throw new ReflectionFault(`it does not offer ${missing}; it offers ${offered.join(', ') || 'nothing'}`);
  const files = new Files();
  for (const name of wanted ?? offered.filter((each) => !OWN_SERVICES.test(each)))
    files.add(await questions.ask({ file_containing_symbol: name }), name);
  for (let name = files.nextMissing(); name !== undefined; name = files.nextMissing())
    files.add(await questions.ask({ file_by_filename: name }), name, /^google\/(protobuf|api|rpc)\//.test(name));
  questions.end();
  return files.all;
}

/** Files by name, as they come, and which of their imports have not come. */
class Files {
  readonly #known = new Map<string, Buffer>();
  readonly #wanted = new Set<string>();
  #bytes = 0;

  get all(): readonly Buffer[] {
    return [...this.#known.values()];
  }

  /** `isCommon`: it is known here, whether the service has it or not. */
  add(response: Response | null, what: string, isCommon = false): void {
    const problem = response?.error_response;
    const texts = response?.file_descriptor_response?.file_descriptor_proto ?? [];
    if (problem !== undefined || texts.length === 0) {
      if (!isCommon) throw new ReflectionFault(`it does not describe ${what}: ${problem?.error_message ?? 'no file'}`);
      this.#wanted.delete(what);
      this.#known.set(what, Buffer.alloc(0));
      return;
    }
    for (const text of texts) {
      const bytes = Buffer.from(text, 'base64');
      const { name, imports } = fileHead(bytes);
      if (this.#known.has(name)) continue;
      this.#bytes += bytes.length;
      this.#known.set(name, bytes);
      if (this.#known.size > MOST_FILES || this.#bytes > MOST_BYTES)
        throw new ReflectionFault(`it describes more than ${MOST_FILES} files or ${MOST_BYTES / 1024 ** 2} MB`);
      for (const other of imports) if (!this.#known.has(other)) this.#wanted.add(other);
    }
    for (const name of this.#known.keys()) this.#wanted.delete(name);
    if (this.#wanted.has(what)) throw new ReflectionFault(`asked for ${what} it gives other files`);
  }

  nextMissing(): string | undefined {
    for (const name of this.#wanted) return name;
    return undefined;
  }
}

/** One call of `ServerReflectionInfo`: a question, its answer, the next question. */
class Questions {
  readonly #stream: http2.ClientHttp2Stream;
  readonly #encoder = new JsonEncoder(types());
  #gathered = new GatheredBytes();
  #status: string | undefined;
  #problem: string | null = null;
  #isOver = false;
  #wake: (() => void) | null = null;

  constructor(session: http2.ClientHttp2Session, authority: string, version: (typeof VERSIONS)[number]) {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      ':authority': authority,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'gatehouse-reflection',
    });
    this.#stream = stream;
    const takeStatus = (fields: http2.IncomingHttpHeaders): void => {
      const { 'grpc-status': status, 'grpc-message': message } = fields;
      if (typeof status !== 'string') return;
      this.#status = status;
      if (status !== '0') this.#problem = `grpc-status ${status}${message === undefined ? '' : `, ${String(message)}`}`;
    };
    stream.on('response', (fields) => {
      if (fields[':status'] === 200) takeStatus(fields);
      else this.#problem = `HTTP status ${fields[':status']}`;
    });
    stream.on('trailers', takeStatus);
    stream.on('data', (chunk: Buffer) => {
      this.#gathered.add(chunk);
      if (this.#gathered.length > MOST_BYTES * 2) stream.destroy(new Error('the answer is too long'));
      this.#wake?.();
    });
    stream.on('error', (error) => this.#over(socketFault(error.cause ?? error).reason ?? error.message));
    // Its side has ended; trailers have come before that.
    stream.on('end', () => setImmediate(() => this.#over(null)));
    stream.on('close', () => this.#over(null));
  }

  #over(problem: string | null): void {
    this.#problem ??= problem;
    this.#isOver = true;
    this.#wake?.();
  }

  /** Null: the service does not know the call. */
  async ask(question: Question): Promise<Response | null> {
    const message = this.#encoder.encode(types().message('reflection.Request'), question)!;
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(message.length, 1);
    if (!this.#isOver) this.#stream.write(Buffer.concat([prefix, message]));
    for (;;) {
      const answer = this.#take();
      if (answer !== null) return answer;
      if (this.#isOver) {
        if (this.#status === `${UNIMPLEMENTED}`) return null;
        throw new ReflectionFault(this.#problem ?? 'the call ended without a response');
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #take(): Response | null {
    const { bytes } = this.#gathered;
    if (bytes.length < PREFIX_BYTES) return null;
    const end = PREFIX_BYTES + bytes.readUInt32BE(1);
    if (bytes[0] !== 0) throw new ReflectionFault('the answer is compressed, or no gRPC');
    if (bytes.length < end) return null;
    const message = bytes.subarray(PREFIX_BYTES, end);
    this.#gathered = new GatheredBytes();
    this.#gathered.add(bytes, end);
    try {
      const type = types().message('reflection.Response');
      return new JsonDecoder(types(), { fileNames: true }).decode(type, Buffer.from(message)) as Response;
    } catch (error) {
      if (error instanceof WireFault) throw new ReflectionFault(`the answer is no message: ${error.message}`);
      throw error;
    }
  }

  end(): void {
    this.#stream.end();
  }
}
