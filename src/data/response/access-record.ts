/**
 * Access records in a form of the operator's choice: fields, JSON, logfmt or Apache's combined format, a share of the
 * successes, values hidden by name and pattern. The usual record (exchange/report.ts) is written without this.
 */

import { HIDDEN, Redaction } from '../../base/redaction.ts';
import { jsonText } from '../../base/text.ts';
import type { AccessRecordSettings, RecordField } from '../contract/access-records.ts';
import type { AccessLog } from './access-log.ts';

/** What a record can tell of an exchange. */
export interface RecordedExchange {
  readonly requestId: string;
  readonly trace: { readonly traceId: string } | null;
  readonly address: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly protocol: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly routeId: string;
  /** How a gRPC call ended; -1 for what is none. */
  readonly grpcStatus: number;
  readonly subject: string | null;
  readonly fault: {
    readonly kind: { readonly reason: string };
    readonly cause?: string | undefined;
    readonly detail?: string | undefined;
  } | null;
  readonly call: { readonly attemptsMade: number } | null;
  readonly attempt: {
    readonly firstByteMs: number;
    readonly service: { readonly settings: { readonly name: string } };
    readonly endpoint: { readonly settings: { readonly url: string } };
  } | null;
  header(name: string): string | null;
}

/** A head that was no request, as far as it was read. */
export interface RefusedRecord {
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly status: number;
  readonly fault: string;
  readonly cause: string | undefined;
}

interface Ended {
  readonly exchange: RecordedExchange;
  readonly status: number;
  readonly elapsedMs: number;
  readonly wallMs: number;
}

type Value = string | number | null;
type Marks = readonly (readonly [name: string, value: string | number])[];
type Read = (ended: Ended) => Value;

const NO_MARKS: Marks = [];

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;

const READERS: Readonly<Record<Exclude<RecordField, 'query' | 'referer'>, Read>> = {
  time: ({ wallMs }) => new Date(wallMs).toISOString(),
  request_id: ({ exchange }) => exchange.requestId || null,
  trace_id: ({ exchange }) => exchange.trace?.traceId ?? null,
  address: ({ exchange }) => exchange.address || null,
  method: ({ exchange }) => exchange.method,
  host: ({ exchange }) => exchange.host || null,
  path: ({ exchange }) => exchange.path,
  protocol: ({ exchange }) => (exchange.protocol === '' ? null : `HTTP/${exchange.protocol}`),
  status: ({ status }) => status,
  duration_ms: ({ elapsedMs }) => rounded(elapsedMs),
  upstream_ms: ({ exchange }) => (exchange.attempt === null ? null : rounded(exchange.attempt.firstByteMs)),
  grpc_status: ({ exchange }) => (exchange.grpcStatus < 0 ? null : exchange.grpcStatus),
  bytes_in: ({ exchange }) => exchange.bytesReceived,
  bytes_out: ({ exchange }) => exchange.bytesSent,
  route: ({ exchange }) => exchange.routeId || null,
  service: ({ exchange }) => exchange.attempt?.service.settings.name ?? null,
  instance: ({ exchange }) => exchange.attempt?.endpoint.settings.url ?? null,
  attempts: ({ exchange }) => exchange.call?.attemptsMade ?? null,
  subject: ({ exchange }) => exchange.subject,
  user_agent: ({ exchange }) => exchange.header('user-agent'),
  fault: ({ exchange }) => exchange.fault?.kind.reason ?? null,
  cause: ({ exchange }) => exchange.fault?.cause ?? exchange.fault?.detail ?? null,
};

export class AccessRecords {
  readonly #settings: AccessRecordSettings;
  readonly #readers: readonly (readonly [name: string, read: Read])[];
  readonly #hiddenNames: ReadonlySet<string>;
  readonly #redaction: Redaction;
  readonly #random: () => number;

  constructor(settings: AccessRecordSettings, random: () => number = Math.random) {
    this.#settings = settings;
    this.#random = random;
    this.#hiddenNames = new Set(settings.hiddenNames);
    this.#redaction = new Redaction(settings.hiddenPatterns);
    this.#readers = settings.fields.map((field) => [nameOf(field), this.#reader(field)] as const);
  }

  /** `marks`: what the record has besides its fields; not in the combined form, whose fields are fixed. */
  write(
    log: AccessLog,
    exchange: RecordedExchange,
    status: number,
    elapsedMs: number,
    wallMs: number,
    marks: Marks = NO_MARKS,
  ): void {
    const { successes, format } = this.#settings;
    const isSuccess = status < 400 && exchange.grpcStatus <= 0 && exchange.fault === null;
    if (isSuccess && successes < 1 && this.#random() >= successes) return;
    const ended = { exchange, status, elapsedMs, wallMs };
    if (format === 'combined') log.line(this.#combined(ended));
    else log.line(format === 'json' ? this.#json(ended, marks) : this.#logfmt(ended, marks));
  }

  /** A head that was no request. */
  refused(log: AccessLog, { method, path, address, status, fault, cause }: RefusedRecord, wallMs: number): void {
    const { format } = this.#settings;
    if (format === 'combined') {
      const line = [method, path].filter((text) => text !== '').map((text) => apacheText(this.#redaction.text(text)));
      log.line(`${address} - - [${apacheTime(wallMs)}] "${line.join(' ') || '-'}" ${status} 0 "-" "-"`);
      return;
    }
    const time = new Date(wallMs).toISOString();
    const all = { time, method, path, address, status, fault, cause: cause ?? '' };
    const parts = Object.entries(all).filter(([, value]) => value !== '');
    log.line(format === 'json' ? this.#jsonOf(parts) : this.#logfmtOf(parts));
  }

  #reader(field: AccessRecordSettings['fields'][number]): Read {
    if (field === 'query') return ({ exchange }) => this.#query(exchange.query);
    if (field === 'referer') return ({ exchange }) => this.#header(exchange, 'referer');
    if (!field.startsWith('header:')) return READERS[field as keyof typeof READERS];
    const name = field.slice('header:'.length);
    return ({ exchange }) => this.#header(exchange, name);
  }

  /** Of a URL in it, such as where the caller was before, the query is hidden like the request's own. */
  #header(exchange: RecordedExchange, name: string): string | null {
    const value = exchange.header(name);
    if (value === null) return null;
    if (this.#hiddenNames.has(name)) return HIDDEN;
    const at = value.search(/[?#]/);
    return at < 0 ? value : value.slice(0, at) + this.#pairs(value.slice(at));
  }

  #query(query: string): string | null {
    return query === '' ? null : this.#pairs(query);
  }

  /** Some read `;` between pairs, too. */
  #pairs(text: string): string {
    return text.replace(/[^&;?#]+/g, (pair) => {
      const at = pair.indexOf('=');
      return at >= 0 && this.#isHidden(pair.slice(0, at)) ? `${pair.slice(0, at)}=${HIDDEN}` : pair;
    });
  }

  /** `name`, `name[]`, `user[name]` and `user.name` are as secret as the name. */
  #isHidden(name: string): boolean {
    const whole = decoded(name).toLowerCase();
    return this.#hiddenNames.has(whole) || whole.split(/[[\].]/).some((part) => this.#hiddenNames.has(part));
  }

  #json(ended: Ended, marks: Marks): string {
    return this.#jsonOf(this.#parts(ended, marks));
  }

  #jsonOf(parts: Marks): string {
    let line = '';
    for (const [name, value] of parts) {
      line += `${line === '' ? '{' : ','}"${name}":${typeof value === 'number' ? value : jsonText(this.#redaction.text(value))}`;
    }
    return line === '' ? '{}' : `${line}}`;
  }

  #logfmt(ended: Ended, marks: Marks): string {
    return this.#logfmtOf(this.#parts(ended, marks));
  }

  #logfmtOf(parts: Marks): string {
    let line = '';
    for (const [name, value] of parts) {
      line += `${line === '' ? '' : ' '}${name}=${typeof value === 'number' ? value : quoted(this.#redaction.text(value))}`;
    }
    return line;
  }

  /** What there is of the fields, and the marks behind them. */
  #parts(ended: Ended, marks: Marks): [name: string, value: string | number][] {
    const parts: [string, string | number][] = [];
    for (const [name, read] of this.#readers) {
      const value = read(ended);
      if (value !== null) parts.push([name, value]);
    }
    for (const [name, value] of marks) parts.push([name, value]);
    return parts;
  }

  /** `%h - %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`. */
  #combined(ended: Ended): string {
    const { exchange, status, wallMs } = ended;
    const shown = (text: string | null): string =>
      text === null || text === '' ? '-' : apacheText(this.#redaction.text(text));
    const query = this.#settings.fields.includes('query') ? this.#query(exchange.query) : null;
    const target = shown(exchange.path + (query === null ? '' : `?${query}`));
    const sent = exchange.bytesSent === 0 ? '-' : exchange.bytesSent;
    return `${exchange.address || '-'} - ${shown(exchange.subject).replaceAll(' ', '\\x20')} [${apacheTime(wallMs)}] "${exchange.method} ${target} HTTP/${exchange.protocol || '1.1'}" ${status} ${sent} "${shown(this.#header(exchange, 'referer'))}" "${shown(exchange.header('user-agent'))}"`;
  }
}

function nameOf(field: string): string {
  return field.startsWith('header:') ? `header_${field.slice('header:'.length).replaceAll('-', '_')}` : field;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** logfmt: plain where nothing could be read wrongly, else a JSON string. */
function quoted(text: string): string {
  return text !== '' && /^[\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+$/.test(text) ? text : jsonText(text);
}

/** As Apache escapes: quotes, backslashes, and what is not printable ASCII. */
function apacheText(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/["\\]/g, '\\$&')
    .replace(/[^\x20-\x7e]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `10/Oct/2026:13:55:36 +0000` */
function apacheTime(wallMs: number): string {
  const iso = new Date(wallMs).toISOString();
  return `${iso.slice(8, 10)}/${MONTHS[Number(iso.slice(5, 7)) - 1]}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
}
