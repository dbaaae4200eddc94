/** The field lines of an answer, framing and connection fields left to the downstream. */
import type { Exchange } from '../exchange.ts';
import { RESPONSE_DROP, RESPONSE_DROP_LENGTH, viaLine } from '../forwarding.ts';
import { DATE } from '../parser/field-names.ts';
import type { Meaning } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { fieldLines, isFieldName, isFieldValue } from '../parser/serialize.ts';

/** What is kept of the upstream's fields (none when the gateway answers itself) and what the gateway adds. */
export function responseLines(
  exchange: Exchange,
  head: Head | null,
  meaning: Meaning | null,
  removed: readonly string[] | null,
  added: string,
): string {
  const own = `X-Request-ID: ${exchange.requestId}\r\n`;
  if (head === null) return `Date: ${exchange.plane.httpDate()}\r\n${own}${added}`;
  // A length that says nothing about this answer would only invite somebody to believe it.
  const drop = head.status === 204 || head.status === 101 ? RESPONSE_DROP_LENGTH : RESPONSE_DROP;
  const kept = fieldLines(head, drop, meaning?.nominated ?? null, removed);
  // RFC 9110 §6.6.1: who forwards an answer without a Date adds one.
  const date = head.find(DATE) < 0 ? `Date: ${exchange.plane.httpDate()}\r\n` : '';
  return `${kept}${date}${viaLine(head, exchange.live.gateway.via)}${own}${added}`;
}

/** Field lines of an answer that a policy or the configuration made. */
export function replyLines(headers: Readonly<Record<string, string>>): string {
  let lines = '';
  for (const name in headers) {
    const value = headers[name]!;
    if (!isFieldName(name) || !isFieldValue(value)) throw new TypeError(`not a field: ${JSON.stringify(name)}`);
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}
