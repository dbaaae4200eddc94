/** Names and layout of HTTP/2 frames (RFC 9113 §4.1, §6, §7), and those of fixed form as bytes. No state. */

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
/** RFC 9218 §7.1. */
export const PRIORITY_UPDATE = 16;

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const HAS_PRIORITY = 0x20;

export const NO_ERROR = 0;
export const PROTOCOL_ERROR = 1;
export const INTERNAL_ERROR = 2;
export const FLOW_CONTROL_ERROR = 3;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const COMPRESSION_ERROR = 9;
export const ENHANCE_YOUR_CALM = 11;

const ERROR_NAMES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? `error ${code}`;
}

export const SETTING_HEADER_TABLE_SIZE = 1;
export const SETTING_ENABLE_PUSH = 2;
export const SETTING_MAX_CONCURRENT_STREAMS = 3;
export const SETTING_INITIAL_WINDOW_SIZE = 4;
export const SETTING_MAX_FRAME_SIZE = 5;
export const SETTING_MAX_HEADER_LIST_SIZE = 6;
/** RFC 8441 §3. */
export const SETTING_ENABLE_CONNECT_PROTOCOL = 8;
/** RFC 9218 §2.1. */
export const SETTING_NO_RFC7540_PRIORITIES = 9;

export const HEADER_BYTES = 9;
/** What every peer takes (§4.2), and all that we take: larger frames would only mean larger buffers. */
export const FRAME_BYTES = 16_384;
/** §6.9.2. */
export const INITIAL_WINDOW = 65_535;
export const MOST_WINDOW = 0x7fff_ffff;
export const MOST_STREAM_ID = 0x7fff_ffff;

/** What a client sends first (§3.4). */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export function putHeader(to: Buffer, at: number, length: number, type: number, flags: number, stream: number): void {
  to[at] = length >> 16;
  to[at + 1] = length >> 8;
  to[at + 2] = length;
  to[at + 3] = type;
  to[at + 4] = flags;
  putInteger(to, at + 5, stream);
}

function putInteger(to: Buffer, at: number, value: number): void {
  to[at] = value >>> 24;
  to[at + 1] = value >>> 16;
  to[at + 2] = value >>> 8;
  to[at + 3] = value;
}

/** Thirty-one bits; the first is reserved (§4.1, §6.9). */
export function integer31(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function integer32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** A SETTINGS frame with these pairs. */
export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + settings.length * 6);
  putHeader(frame, 0, settings.length * 6, SETTINGS, 0, 0);
  settings.forEach(([id, value], i) => {
    frame.writeUInt16BE(id, HEADER_BYTES + i * 6);
    frame.writeUInt32BE(value, HEADER_BYTES + i * 6 + 2);
  });
  return frame;
}

export const SETTINGS_ACK: Buffer = Buffer.alloc(HEADER_BYTES);
putHeader(SETTINGS_ACK, 0, 0, SETTINGS, ACK, 0);

/** A frame whose payload is one number: RST_STREAM and WINDOW_UPDATE. Good until the next call. */
export function numberFrame(type: number, stream: number, value: number): Buffer {
  putHeader(numbered, 0, 4, type, 0, stream);
  putInteger(numbered, HEADER_BYTES, value);
  return numbered;
}

const numbered = Buffer.alloc(HEADER_BYTES + 4);

export function pingFrame(flags: number, payload: Uint8Array, at: number): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + 8);
  putHeader(frame, 0, 8, PING, flags, 0);
  frame.set(payload.subarray(at, at + 8), HEADER_BYTES);
  return frame;
}

export function goawayFrame(lastStream: number, code: number, text: string): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + 8 + text.length);
  putHeader(frame, 0, 8 + text.length, GOAWAY, 0, 0);
  putInteger(frame, HEADER_BYTES, lastStream);
  putInteger(frame, HEADER_BYTES + 4, code);
  frame.latin1Write(text, HEADER_BYTES + 8);
  return frame;
}
