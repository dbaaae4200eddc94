/**
 * The two messages of grpc.health.v1 and the frame around them, by hand: field 1 of the request is the service name
 * (a string), field 1 of the answer is the status (an enum). A protobuf library would be the only one we need.
 */

/** HealthCheckResponse.ServingStatus, by number. */
export const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;
export const SERVING = 1;

const LENGTH_DELIMITED = 2;

/** A HealthCheckRequest in its frame: a byte for "not compressed", four of length, the message. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  // proto3 leaves out a field that has its default value
  const message =
    name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), Buffer.from(varint(name.length)), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

/** The serving status in a framed HealthCheckResponse, or undefined when it is not one. */
export function decodeResponse(framed: Buffer): number | undefined {
  if (framed.length < 5 || framed[0] !== 0) return undefined;
  const length = framed.readUInt32BE(1);
  if (framed.length < 5 + length) return undefined;
  return readStatus(framed.subarray(5, 5 + length));
}

function readStatus(message: Buffer): number | undefined {
  let status = 0;
  let at = 0;
  while (at < message.length) {
    const key = readVarint(message, at);
    if (key === undefined) return undefined;
    at = key.next;
    const field = key.value >>> 3;
    const skipped = skipOrRead(message, at, key.value & 7);
    if (skipped === undefined) return undefined;
    if (field === 1) {
      if ((key.value & 7) !== 0) return undefined;
      status = skipped.value;
    }
    at = skipped.next;
  }
  return status;
}

/** The value at `at` for varints, 0 for other wire types, and where the next field begins. */
function skipOrRead(message: Buffer, at: number, wireType: number): { value: number; next: number } | undefined {
  if (wireType === 0) return readVarint(message, at);
  let next: number;
  if (wireType === 1) next = at + 8;
  else if (wireType === 5) next = at + 4;
  else if (wireType === LENGTH_DELIMITED) {
    const length = readVarint(message, at);
    if (length === undefined) return undefined;
    next = length.next + length.value;
  } else return undefined;
  return next <= message.length ? { value: 0, next } : undefined;
}

function readVarint(bytes: Buffer, start: number): { value: number; next: number } | undefined {
  let value = 0;
  // Five bytes hold every 32-bit value; whatever is longer is no status, tag or length of ours.
  for (let at = start, shift = 0; at < bytes.length && shift < 35; at++, shift += 7) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if ((byte & 0x80) === 0) return { value, next: at + 1 };
  }
  return undefined;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}
