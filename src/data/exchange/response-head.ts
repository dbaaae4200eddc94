/** The fields of a response; framing and connection fields are left to the downstream. */
import { FieldBlock } from '../contract/field-block.ts';
import { DATE, VIA } from '../parser/field-names.ts';
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
  if (head === null || head.find(DATE) < 0) out.fields(exchange.runtime.date());
  const { via } = exchange.live.gateway;
  if (head !== null && via !== '') {
    if (head.find(VIA) < 0 && head.minor === 1) out.fields(plainVia(via));
    else out.field('Via', viaOf(head, via));
  }
  out.begin(REQUEST_ID);
  exchange.writeRequestId(out);
  out.end();
  exchange.writeNotices(out);
  if (changes !== null) changes.writeAdded(out);
}

let lastVia = '';
let lastViaField: FieldBlock = new FieldBlock([], []);

/** That of a response which no other gateway has passed, made once: it is nearly always the same. */
function plainVia(via: string): FieldBlock {
  if (via !== lastVia) {
    lastVia = via;
    lastViaField = new FieldBlock(['Via'], [`1.1 ${via}`]);
  }
  return lastViaField;
}
