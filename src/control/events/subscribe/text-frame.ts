/**
 * A text message of a server as the bytes of one frame (RFC 6455 §5.2), so that one event is framed once for all who
 * get it. Frames of a server are not masked, and without compression all clients get the same bytes.
 */
export function textFrame(payload: Buffer): Buffer {
  const { byteLength } = payload;
  const wide = byteLength > 0xffff;
  const head = Buffer.alloc(byteLength < 126 ? 2 : wide ? 10 : 4);
  head[0] = 0x81;
  if (byteLength < 126) head[1] = byteLength;
  else if (wide) {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(byteLength), 2);
  } else {
    head[1] = 126;
    head.writeUInt16BE(byteLength, 2);
  }
  return Buffer.concat([head, payload]);
}
