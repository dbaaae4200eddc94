/**
 * What a parsed head means for the connection: how long the body is (RFC 9112 §6), whether the connection may be
 * used again (§9.3), whether it asks for an upgrade (RFC 9110 §7.8), and which fields belong to this connection only
 * (RFC 9110 §7.6.1). This is the one gate against request smuggling: every message passes it, both ways, and
 * whatever is ambiguous is refused. Pure; the result goes into a reused object.
 */
import { FAULTS } from '../../base/errors.ts';
import {
  CONFUSABLE,
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  HOST,
  HTTP2_SETTINGS,
  KEEP_ALIVE,
  nameIs,
  OTHER,
  PROXY_AUTHENTICATE,
  PROXY_AUTHORIZATION,
  PROXY_CONNECTION,
  TE,
  TRANSFER_ENCODING,
  UPGRADE,
} from './field-names.ts';
import type { Head } from './head.ts';

/**
 * Body lengths that are not numbers of bytes. The second is known to HTTP/1.1 alone: the body ends with the connection.
 */
export const UNKNOWN_LENGTH = -1;
export const UNTIL_CLOSE = -2;

/** Connection options in all; no client needs more, and each costs a look at every field. */
const MAX_OPTIONS = 64;
/** A length with more digits than this cannot be a safe integer. */
const MAX_LENGTH_DIGITS = 15;

export class MessageFraming {
  /** Bytes of the body, `UNKNOWN_LENGTH` (chunks) or, while a response of HTTP/1.1 is read, `UNTIL_CLOSE`. */
  bodyLength = 0;
  /** The head says how long the body is. */
  lengthGiven = false;
  keepAlive = true;
  /** Index of the one Host field, or -1. */
  host = -1;
  /** Index of the one Upgrade field when `Connection: upgrade` goes with it, or -1. */
  upgrade = -1;
  /** The downstream waits for `100 Continue` before it sends the body. */
  expectsContinue = false;
  /** The sender can take trailers (`TE: trailers`). */
  takesTrailers = false;
  /** Fields that `Connection` names, besides the usual ones; lower case. Almost always null. */
  nominated: string[] | null = null;
}

/** Fills `meaning` for a request; false when it is refused (reason in `head`). */
export function readRequestFraming(head: Head, meaning: MessageFraming): boolean {
  if (!readConnectionFields(head, meaning, false)) return false;
  if (head.minor === 1) {
    // RFC 9112 §3.2: exactly one Host in HTTP/1.1.
    if (meaning.host < 0) return refuse(head, FAULTS.malformedRequest, 'HTTP/1.1 needs a Host field');
  } else {
    if (meaning.bodyLength === UNKNOWN_LENGTH)
      return refuse(head, FAULTS.ambiguousFraming, 'HTTP/1.0 has no transfer coding');
    meaning.upgrade = -1;
    meaning.expectsContinue = false;
  }
  // A tunnel opens at once, so a body would look like the tunnel's first bytes.
  if (meaning.bodyLength !== 0) meaning.upgrade = -1;
  if (meaning.bodyLength === 0) meaning.expectsContinue = false;
  return true;
}

/** Fills `meaning` for the response to a request with this method; false when it is refused (reason in `head`). */
export function readResponseFraming(head: Head, method: string, meaning: MessageFraming): boolean {
  if (!readConnectionFields(head, meaning, true)) return false;
  const status = head.status;
  if (head.minor === 0) {
    if (meaning.bodyLength === UNKNOWN_LENGTH)
      return refuse(head, FAULTS.upstreamMalformed, 'HTTP/1.0 has no transfer coding');
    // RFC 9110 §15.2: to a reader of HTTP/1.0 it would be the final response, and what follows its body.
    if (status < 200) return refuse(head, FAULTS.upstreamMalformed, 'HTTP/1.0 has no interim responses');
  }
  // RFC 9112 §6.3 rules 1 and 2: these never have a body, whatever their fields say.
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') meaning.bodyLength = 0;
  else if (!meaning.lengthGiven) meaning.bodyLength = UNTIL_CLOSE;
  if (meaning.bodyLength === UNTIL_CLOSE) meaning.keepAlive = false;
  return true;
}

function refuse(head: Head, problem: Head['problem'], detail: string): false {
  head.refuse(problem, detail);
  return false;
}

function readConnectionFields(head: Head, meaning: MessageFraming, isResponse: boolean): boolean {
  meaning.bodyLength = 0;
  meaning.keepAlive = head.minor === 1;
  meaning.host = -1;
  meaning.upgrade = -1;
  meaning.expectsContinue = false;
  meaning.takesTrailers = false;
  meaning.nominated = null;
  let upgradeField = -1;
  let connectionUpgrade = false;
  let close = false;
  let lengths = 0;
  let codings = 0;
  for (let i = 0; i < head.count; i++) {
    switch (head.ids[i]) {
      case OTHER:
        break;
      case HOST:
        if (meaning.host >= 0) return refuse(head, FAULTS.malformedRequest, 'there are two Host fields');
        meaning.host = i;
        break;
      case CONTENT_LENGTH:
        // RFC 9112 §6.3 rule 5 lets a recipient merge equal copies. Of a service that is done, since many frameworks
        // write it twice; from a client it is refused, which is as valid and safer.
        if (lengths === 1 && isResponse && readLength(head, i) === meaning.bodyLength) {
          head.ids[i] = CONFUSABLE;
          break;
        }
        if (++lengths > 1) return refuse(head, FAULTS.ambiguousFraming, 'there are two Content-Length fields');
        meaning.bodyLength = readLength(head, i);
        if (meaning.bodyLength < 0)
          return refuse(head, FAULTS.ambiguousFraming, 'Content-Length is not a number of bytes');
        break;
      case TRANSFER_ENCODING:
        if (++codings > 1) return refuse(head, FAULTS.ambiguousFraming, 'there are two Transfer-Encoding fields');
        if (!isChunked(head, i)) {
          const value = head.value(i).toLowerCase();
          return value.split(',').filter((coding) => coding.trim() === 'chunked').length > 1
            ? refuse(head, FAULTS.ambiguousFraming, 'chunked is applied twice')
            : refuse(head, FAULTS.unknownTransferCoding, 'only chunked is known');
        }
        break;
      case CONNECTION: {
        const options = readConnection(head, i, meaning);
        if (options === TOO_MANY_OPTIONS)
          return refuse(head, FAULTS.malformedRequest, `the limit is ${MAX_OPTIONS} connection options`);
        if ((options & UPGRADE_OPTION) !== 0) connectionUpgrade = true;
        if ((options & CLOSE_OPTION) !== 0) close = true;
        break;
      }
      case UPGRADE:
        // Two Upgrade fields are a list of wishes; none is followed then.
        upgradeField = upgradeField === -1 ? i : -2;
        break;
      case EXPECT:
        if (head.value(i).toLowerCase() !== '100-continue')
          return refuse(head, FAULTS.expectationFailed, 'only 100-continue is known');
        meaning.expectsContinue = true;
        break;
      case TE:
        if (/(^|,)\s*trailers\s*(,|$)/i.test(head.value(i))) meaning.takesTrailers = true;
        break;
      default:
    }
  }
  if (codings > 0) {
    // RFC 9112 §6.1: both together is an attempt to smuggle or a broken sender.
    if (lengths > 0)
      return refuse(head, FAULTS.ambiguousFraming, 'Content-Length and Transfer-Encoding stand together');
    meaning.bodyLength = UNKNOWN_LENGTH;
  }
  meaning.lengthGiven = lengths + codings > 0;
  if (connectionUpgrade && upgradeField >= 0) meaning.upgrade = upgradeField;
  // RFC 9112 §9.3: `close` wins over other options, in any of several fields.
  if (close) meaning.keepAlive = false;
  return true;
}

function readLength(head: Head, field: number): number {
  const start = head.marks[field * 4 + 2]!;
  const end = head.marks[field * 4 + 3]!;
  if (start === end || end - start > MAX_LENGTH_DIGITS) return -1;
  let length = 0;
  let zeros = 0;
  for (let i = start; i < end; i++) {
    const digit = head.bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
    if (length === 0) zeros++;
  }
  // Leading zeros are decimal here and octal to some, so they are not passed on: the value is what we understood.
  head.marks[field * 4 + 2] = start + Math.min(zeros, end - start - 1);
  return length;
}

function isChunked(head: Head, field: number): boolean {
  return nameIs(head.bytes, head.marks[field * 4 + 2]!, head.marks[field * 4 + 3]!, 'chunked');
}

const CLOSE_OPTION = 1;
const UPGRADE_OPTION = 2;
const TOO_MANY_OPTIONS = -1;

/** Reads the options of one Connection field; says whether `close` and `upgrade` are among them, or too many. */
function readConnection(head: Head, field: number, meaning: MessageFraming): number {
  const start = head.marks[field * 4 + 2]!;
  const end = head.marks[field * 4 + 3]!;
  if (nameIs(head.bytes, start, end, 'keep-alive')) {
    meaning.keepAlive = true;
    return 0;
  }
  if (nameIs(head.bytes, start, end, 'close')) return CLOSE_OPTION;
  let found = 0;
  const parts = head.value(field).split(',', MAX_OPTIONS + 1);
  if (parts.length + (meaning.nominated?.length ?? 0) > MAX_OPTIONS) return TOO_MANY_OPTIONS;
  for (const part of parts) {
    const option = part.trim().toLowerCase();
    if (option === 'close') found |= CLOSE_OPTION;
    else if (option === 'keep-alive') meaning.keepAlive = true;
    else if (option === 'upgrade') found |= UPGRADE_OPTION;
    else if (option !== '' && option !== 'te') {
      meaning.nominated ??= [];
      meaning.nominated.push(option);
    }
  }
  return found;
}

/** Fields that never cross the gateway (RFC 9110 §7.6.1), besides those that `Connection` names. */
export function isHopByHop(id: number): boolean {
  switch (id) {
    case CONNECTION:
    case KEEP_ALIVE:
    case PROXY_CONNECTION:
    case TE:
    case TRANSFER_ENCODING:
    case UPGRADE:
    case PROXY_AUTHENTICATE:
    case PROXY_AUTHORIZATION:
    case HTTP2_SETTINGS:
    case CONFUSABLE:
      return true;
    default:
      return false;
  }
}

/** Never taken away because `Connection` names them: without these the message means something else. */
export function isProtectedFromNomination(id: number): boolean {
  return id === HOST || id === CONTENT_LENGTH;
}
