/**
 * The half of a WebSocket handshake that HTTP/2 does without (RFC 8441 §5): when a service agreed to a tunnel over
 * HTTP/2, a client that speaks HTTP/1.1 still waits for proof that its key was read.
 */
import { createHash } from 'node:crypto';

export const KEY = 'sec-websocket-key';
/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The value of Sec-WebSocket-Accept (RFC 6455 §4.2.2); null without a key: then it is no WebSocket client. */
export function acceptFor(key: string | null): string | null {
  return key === null ? null : createHash('sha1').update(`${key.trim()}${GUID}`).digest('base64');
}
