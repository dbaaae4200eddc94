/** The fields of a response; framing and connection fields are left to the downstream. */
import { FieldBlock, NO_FIELDS } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import { DATE, idOfName, RATE_LIMIT, VIA, X_REQUEST_ID } from '../parser/field-names.ts';
import type { Head } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import type { Exchange } from './exchange.ts';
import type { FieldChanges } from './field-changes.ts';
import {
  RESPONSE_DROP,
  RESPONSE_DROP_LENGTH,
  RESPONSE_DROP_LIMITS,
  RESPONSE_DROP_LIMITS_LENGTH,
  viaOf,
} from './forwarding.ts';
import { REQUEST_ID } from './request-head.ts';

const SMALL_X = 0x78;

/**
 * Writes what is kept of the upstream's fields (none when the gateway responds itself) and what the gateway adds.
 * `dropLength`: the body is not the upstream's any more.
 */
export function writeResponseFields(
  out: HeadWriter,
  exchange: Exchange,
  head: Head | null,
  nominated: readonly string[] | null,
  changes: FieldChanges | null,
  dropLength: boolean,
): void {
  if (head !== null) {
    // These have no body, so a Content-Length would describe nothing (RFC 9110 §8.6).
    const hasNoLength = dropLength || head.status === 204 || head.status === 101;
    const limits = exchange.tellsLimits;
    const dropWithout = limits ? RESPONSE_DROP_LIMITS_LENGTH : RESPONSE_DROP_LENGTH;
    const drop = hasNoLength ? dropWithout : limits ? RESPONSE_DROP_LIMITS : RESPONSE_DROP;
    // RFC 9110 §15.5.22: what the client should have asked for; it means nothing on this connection otherwise.
    const wanted = head.status === 426 ? head.valueOf('upgrade') : null;
    if (wanted !== null) out.field('Upgrade', wanted);
    out.copyFields(head, drop, nominated, changes === null ? null : changes.removed);
  }
  // RFC 9110 §6.6.1: who forwards a response without a Date adds one.
  if (head === null ? !saysDate(exchange.replyFields) : head.find(DATE) < 0) out.fields(exchange.runtime.date());
  const { via } = exchange.live.gateway;
  if (head !== null && via !== '') {
    if (head.find(VIA) < 0) out.fields(plainVia(head, via));
    else out.field('Via', viaOf(head, via));
  }
  out.begin(REQUEST_ID);
  exchange.writeRequestId(out);
  out.end();
  exchange.writeNotices(out);
  if (changes !== null) changes.writeAdded(out);
}

/**
 * Those of a response that is made here. A handler may send what a service has sent: what the gateway says itself is not
 * said twice.
 */
export function writeReplyFields(
  out: HeadWriter,
  exchange: Exchange,
  headers: Reply['headers'],
  changes: FieldChanges | null,
): void {
  for (const name in headers) {
    if (changes !== null && changes.removes(name)) continue;
    if (!isSaidHere(name, exchange)) out.field(name, headers[name]!);
  }
}

/** Most names are not looked at any closer. */
function isSaidHere(name: string, exchange: Exchange): boolean {
  if ((name.charCodeAt(0) | 0x20) !== SMALL_X) return false;
  const id = idOfName(name.toLowerCase());
  return id === X_REQUEST_ID || (id === RATE_LIMIT && exchange.tellsLimits);
}

function saysDate(headers: Reply['headers'] | null): boolean {
  for (const name in headers) if (name.length === 4 && name.toLowerCase() === 'date') return true;
  return false;
}

let lastVia = '';
const lastViaFields: Record<string, FieldBlock> = { '1.0': NO_FIELDS, '1.1': NO_FIELDS, '2.0': NO_FIELDS };

/** That of a response which no other gateway has passed, made once: it is nearly always the same. */
function plainVia({ major, minor }: Head, via: string): FieldBlock {
  if (via !== lastVia) {
    lastVia = via;
    for (const version in lastViaFields) lastViaFields[version] = new FieldBlock(['Via'], [`${version} ${via}`]);
  }
  return major === 2 ? lastViaFields['2.0']! : lastViaFields[minor === 1 ? '1.1' : '1.0']!;
}
