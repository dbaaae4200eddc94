/** Server-sent events (HTML Standard §9.2): hours may pass between two, and who reads them sends nothing more. */
export function isEventStreamType(contentType: string | null): boolean {
  return contentType !== null && /^text\/event-stream\s*(?:;|$)/i.test(contentType);
}
