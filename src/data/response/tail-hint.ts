/**
 * Whether the record of a request can hold a text, without writing the record: a watcher who looks for one request of
 * ten thousand a second must not have ten thousand records written. A hint is a piece of the text that, of all a record
 * has, can only be in one of the values looked at here; a text without such a piece has no hint.
 */
import type { RecordedExchange } from './access-record.ts';

/** The names that records have; a piece of one of them is in every record. */
const NAMES =
  'time request_id method path status duration_ms upstream_ms bytes_in bytes_out address protocol host route service instance user_agent trace_id attempts subject issuer fault cause refused';
/** Numbers, dates and times of day; an address has more dots than either. */
const COUNTED = /^[\dTZ-]*(\.[\dTZ-]*)?$/;

/** The longest piece that says something; null for none. */
export function hintOf(text: string): string | null {
  // What is escaped in a record is written in another way than here.
  if (text.includes('\\')) return null;
  // Quotes, colons and commas part the values of a record.
  const pieces = text.split(/[^\x21\x23-\x2b\x2d-\x39\x3b-\x5a\x5e-\x7a\x7e]+/);
  const good = pieces.filter((piece) => piece !== '' && !COUNTED.test(piece) && !NAMES.includes(piece));
  return good.sort((a, b) => b.length - a.length)[0] ?? null;
}

/** `parts`: what policies add to the record. */
export function mayHold(exchange: RecordedExchange, parts: string, hint: string): boolean {
  const { attempt, fault } = exchange;
  return (
    exchange.path.includes(hint) ||
    exchange.requestId.includes(hint) ||
    exchange.address.includes(hint) ||
    exchange.host.includes(hint) ||
    exchange.routeId.includes(hint) ||
    exchange.method.includes(hint) ||
    parts.includes(hint) ||
    (hint.startsWith('http') && `http/${exchange.protocol}`.includes(hint)) ||
    exchange.protocol.includes(hint) ||
    exchange.subject?.includes(hint) === true ||
    (attempt !== null &&
      (attempt.service.settings.name.includes(hint) || attempt.endpoint.settings.url.includes(hint))) ||
    exchange.trace?.traceId.includes(hint) === true ||
    (fault !== null && `${fault.kind.reason} ${fault.cause ?? fault.detail ?? ''}`.includes(hint)) ||
    exchange.header('user-agent')?.includes(hint) === true
  );
}
