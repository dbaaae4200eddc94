/**
 * Names of header fields that nothing but the engine writes, in lower case. Options of every place that may write
 * fields refuse them, so that no configuration can break the framing of a message.
 */

/** They frame the message or belong to one connection (RFC 9110 §7.6.1). */
export const FRAMING_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
