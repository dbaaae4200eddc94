/**
 * What of gRPC over HTTP/2 concerns the gateway: deadlines, statuses in trailers, and faults said in its words. Calls,
 * messages and compression pass as they are. Pure; used by the exchange and its attempts for services with
 * `protocol: grpc`, and for the faults of any request that is a gRPC call.
 */
import type { Fault, FaultKind } from '../../base/errors.ts';
import { WireWriter } from '../../base/protobuf/wire.ts';
import { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';

export const PREVIOUS_ATTEMPTS = 'grpc-previous-rpc-attempts';

export const DEADLINE_EXCEEDED = 4;
const UNKNOWN = 2;
export const INTERNAL = 13;
const UNAVAILABLE = 14;

const GRPC = 'application/grpc';
const GRPC_WEB = 'application/grpc-web';

/** The `grpc_status` of an access record by its code, made once: each call has one. */
const RECORD_PARTS = Array.from({ length: 17 }, (_, code) => recordPart(code));

function recordPart(code: number): string {
  return `,"grpc_status":${code}`;
}

export function statusRecord(code: number): string {
  return RECORD_PARTS[code] ?? recordPart(code);
}

/** Is this the content type of a call: `application/grpc`, `application/grpc+proto`? gRPC-Web is another protocol. */
export function isGrpcType(contentType: string | null): boolean {
  // Most calls, several times each.
  if (contentType === null || contentType === GRPC) return contentType === GRPC;
  return /^application\/grpc(?:[+;]|$)/i.test(contentType);
}

/** What a gRPC-Web client sends, and expects back, in binary or as base64 (`application/grpc-web-text`). */
export function isGrpcWebType(contentType: string | null): boolean {
  return (
    contentType !== null &&
    contentType.length >= GRPC_WEB.length &&
    /^application\/grpc-web(?:-text)?(?:[+;]|$)/i.test(contentType)
  );
}

export function isCallType(contentType: string | null): boolean {
  return isGrpcType(contentType) || isGrpcWebType(contentType);
}

/** The code that clients get for a fault, by the HTTP status that others get. */
export function grpcCode(status: number): number {
  switch (status) {
    case 400:
    case 500:
      return INTERNAL;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
    case 405:
    case 501:
      return 12;
    case 408:
    case 504:
      return DEADLINE_EXCEEDED;
    case 413:
    case 429:
      return 8;
    case 499:
      return 1;
    case 502:
    case 503:
      return UNAVAILABLE;
    default:
      return UNKNOWN;
  }
}

/**
 * A status of a service as breaker, ejection, retries and metrics of instances count it; those that are the client's
 * are no failure. Nor is UNIMPLEMENTED here, other than in objectives and traces: any client could have an instance
 * ejected by calls of a method that does not exist.
 */
export function countedStatus(code: number): number {
  switch (code) {
    case UNKNOWN:
    case INTERNAL:
    case 15:
      return 500;
    case DEADLINE_EXCEEDED:
      return 504;
    case 8:
      return 429;
    case UNAVAILABLE:
      return 503;
    default:
      return 200;
  }
}

/** The number in a `grpc-status` field; -1 when it is none. */
export function readCode(value: string | null): number {
  if (value === '0') return 0;
  return value !== null && /^\d{1,3}$/.test(value) ? Number(value) : -1;
}

let latest: FieldBlock | null = null;
let latestCode = -1;

/** That in trailers; most calls end with the same ones. */
export function readTrailers(trailers: FieldBlock | null): number {
  if (trailers === null) return -1;
  if (trailers === latest) return latestCode;
  latestCode = readCode(trailers.valueOf('grpc-status'));
  latest = trailers;
  return latestCode;
}

/** Eight digits. */
const MOST_TIMEOUT = 99_999_999;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/** `grpc-timeout`: up to eight digits and a unit. In milliseconds, or -1 when there is none that can be read. */
export function readTimeout(value: string | null): number {
  const parts = value === null ? null : /^(\d{1,8})([HMSmun])$/.exec(value);
  return parts === null ? -1 : Number(parts[1]) * UNIT_MS[parts[2]!]!;
}

/** The finest unit of milliseconds and above in which it has eight digits at most, rounded down. */
export function timeoutText(ms: number): string {
  for (const unit of ['m', 'S', 'M']) {
    const whole = Math.max(1, Math.floor(ms / UNIT_MS[unit]!));
    if (whole <= MOST_TIMEOUT) return `${whole}${unit}`;
  }
  return `${Math.min(MOST_TIMEOUT, Math.floor(ms / UNIT_MS['H']!))}H`;
}

/** A fault as a call's whole response ("Trailers-Only"): HTTP says 200, the code says what is wrong. */
export function grpcReply(fault: Fault): Reply {
  const { names, values } = faultTrailers(fault.kind, fault.detail, fault.retryAfterSeconds);
  const status = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
  return { status: 200, headers: { ...faultFields(fault), 'Content-Type': 'application/grpc', ...status }, body: '' };
}

/** What goes with it beside the status. */
export function faultFields({ headers, retryAfterSeconds }: Fault): Reply['headers'] {
  const wait = retryAfterSeconds === undefined ? {} : { 'Retry-After': `${Math.max(0, Math.ceil(retryAfterSeconds))}` };
  return { ...wait, ...headers };
}

/** The end of a call that failed here. Where waiting helps, the details say how long. */
export function faultTrailers({ status, message }: FaultKind, detail?: string, retryAfterSeconds?: number): FieldBlock {
  const code = grpcCode(status);
  const whole = detail === undefined ? message : `${message}: ${detail}`;
  const fields: [string, string][] = [
    ['grpc-status', `${code}`],
    ['grpc-message', percentEncoded(whole)],
  ];
  if (retryAfterSeconds !== undefined)
    fields.push(['grpc-status-details-bin', retryDetails(code, whole, Math.max(0, Math.ceil(retryAfterSeconds)))]);
  return FieldBlock.of(fields);
}

/** A `google.rpc.Status` with a `RetryInfo`, in base64 without padding as the protocol has it. */
function retryDetails(code: number, message: string, seconds: number): string {
  const out = new WireWriter(256);
  out.varint(8);
  out.varint(code);
  out.varint(18);
  out.text(message);
  out.varint(26);
  const any = out.begin();
  out.varint(10);
  out.text('type.googleapis.com/google.rpc.RetryInfo');
  out.varint(18);
  const info = out.begin();
  out.varint(10);
  const delay = out.begin();
  out.varint(8);
  out.varint(seconds);
  out.end(delay);
  out.end(info);
  out.end(any);
  return out.done().toString('base64').replace(/=+$/, '');
}

/** A response that ends without a status is no success: its end was lost. */
export const NO_STATUS: FieldBlock = FieldBlock.of([
  ['grpc-status', `${INTERNAL}`],
  ['grpc-message', 'the service ended the call without a status'],
]);

/** As the protocol wants its messages: bytes of UTF-8, all but visible ASCII and `%` as they are. */
export function percentEncoded(text: string): string {
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    if (byte >= 0x20 && byte <= 0x7e && byte !== 0x25) encoded += String.fromCharCode(byte);
    else encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
