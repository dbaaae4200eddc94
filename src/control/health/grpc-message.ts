/**
 * The two messages of grpc.health.v1 and the frame around them, by hand, for probes (which ask) and for the gateway's
 * own health (which is asked): field 1 of the request is the service name (a string), field 1 of the response the
 * status (an enum).
 */

/** HealthCheckResponse.ServingStatus, by number. */
export const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;
export const SERVING = 1;
export const NOT_SERVING = 2;
export const SERVICE_UNKNOWN = 3;

const LENGTH_DELIMITED = 2;

/** A HealthCheckRequest in its frame. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  // proto3 leaves out a field that has its default value
  return framed(
    name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), Buffer.from(varint(name.length)), name]),
  );
}

/** A HealthCheckResponse in its frame. */
export function encodeResponse(status: number): Buffer {
  return framed(Buffer.from([0x08, ...varint(status)]));
}

/** A byte for "not compressed", four of length, the message. */
function framed(message: Buffer): Buffer {
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

/** The service name in a framed HealthCheckRequest, or undefined when it is not one. */
export function decodeRequest(bytes: Buffer): string | undefined {
  const message = messageIn(bytes);
  if (message === undefined) return undefined;
  let name = '';
  const isSound = readFields(message, 2, (start, end) => {
    name = message.toString('utf8', start, end);
  });
  return isSound ? name : undefined;
}

/** The serving status in a framed HealthCheckResponse, or undefined when it is not one. */
export function decodeResponse(bytes: Buffer): number | undefined {
  const message = messageIn(bytes);
  if (message === undefined) return undefined;
  let status = 0;
  const isSound = readFields(message, 0, (start) => {
    status = readVarint(message, start)?.value ?? 0;
  });
  return isSound ? status : undefined;
}

function messageIn(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 5 || bytes[0] !== 0) return undefined;
  const length = bytes.readUInt32BE(1);
  return bytes.length < 5 + length ? undefined : bytes.subarray(5, 5 + length);
}

/** Calls `found` with the bytes of field 1, which has this wire type; others are skipped. False: not a message. */
function readFields(message: Buffer, wireType: number, found: (start: number, end: number) => void): boolean {
  let at = 0;
  while (at < message.length) {
    const key = readVarint(message, at);
    if (key === undefined) return false;
    const type = key.value & 7;
    const next = skip(message, key.next, type);
    if (next === undefined) return false;
    if (key.value >>> 3 === 1) {
      if (type !== wireType) return false;
      found(type === LENGTH_DELIMITED ? readVarint(message, key.next)!.next : key.next, next);
    }
    at = next;
  }
  return true;
}

/** Where the value that begins at `at` ends. */
function skip(message: Buffer, at: number, wireType: number): number | undefined {
  let next: number;
  if (wireType === 0) return readVarint(message, at)?.next;
  if (wireType === 1) next = at + 8;
  else if (wireType === 5) next = at + 4;
  else if (wireType === LENGTH_DELIMITED) {
    const length = readVarint(message, at);
    if (length === undefined) return undefined;
    next = length.next + length.value;
  } else return undefined;
  return next <= message.length ? next : undefined;
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
