/** The field lines of an answer, framing and connection fields left to the downstream. */

import { flat } from '../../base/text.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { Exchange } from '../exchange/exchange.ts';
import {
  RESPONSE_DROP,
  RESPONSE_DROP_LENGTH,
  RESPONSE_DROP_LIMITS,
  RESPONSE_DROP_LIMITS_LENGTH,
  viaLine,
} from '../exchange/forwarding.ts';
import { DATE, VIA } from '../parser/field-names.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { isFieldName, isFieldValue, writeFieldLines } from '../parser/serialize.ts';
import { constant } from '../wire/outbox.ts';

const REQUEST_ID = constant('X-Request-ID: ');
const LINE_END = constant('\r\n');

/** Writes what is kept of the upstream's fields (none when the gateway answers itself) and what the gateway adds. */
export function writeResponseLines(
  out: FieldWriter,
  exchange: Exchange,
  head: Head | null,
  meaning: MessageFraming | null,
  removed: readonly string[] | null,
  added: string,
): void {
  if (head !== null) {
    // A length that says nothing about this answer would only invite somebody to believe it.
    const hasNoLength = head.status === 204 || head.status === 101;
    const limits = exchange.tellsLimits;
    const dropWithout = limits ? RESPONSE_DROP_LIMITS_LENGTH : RESPONSE_DROP_LENGTH;
    const drop = hasNoLength ? dropWithout : limits ? RESPONSE_DROP_LIMITS : RESPONSE_DROP;
    writeFieldLines(out, head, drop, meaning?.nominated ?? null, removed);
  }
  // RFC 9110 §6.6.1: who forwards an answer without a Date adds one.
  if (head === null || head.find(DATE) < 0) out.text(exchange.runtime.dateLine());
  const { via } = exchange.live.gateway;
  if (head !== null && via !== '') out.text(head.find(VIA) < 0 ? plainVia(head.minor, via) : viaLine(head, via));
  out.run(REQUEST_ID, 0, REQUEST_ID.length);
  exchange.writeRequestId(out);
  out.run(LINE_END, 0, 2);
  exchange.writeNotices(out);
  if (added !== '') out.text(added);
}

let lastVia = '';
let lastViaLine = '';

/** The line of an answer that no other gateway has passed, made once: it is nearly always the same. */
function plainVia(minor: number, via: string): string {
  if (minor !== 1) return `Via: 1.${minor} ${via}\r\n`;
  if (via !== lastVia) {
    lastVia = via;
    lastViaLine = flat(`Via: 1.1 ${via}\r\n`);
  }
  return lastViaLine;
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
