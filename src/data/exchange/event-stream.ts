const SMALL_T = 0x74;

/** Server-sent events (HTML Standard §9.2): hours may pass between two, and who reads them sends nothing more. */
export function isEventStreamType(contentType: string | null): boolean {
  // Nearly all others begin with another letter.
  return (
    contentType !== null &&
    (contentType.charCodeAt(0) | 0x20) === SMALL_T &&
    /^text\/event-stream\s*(?:;|$)/i.test(contentType)
  );
}
