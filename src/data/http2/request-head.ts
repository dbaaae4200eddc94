/**
 * From decoded fields to the head of a request as the rest of the gateway knows it (RFC 9113 §8.3): `:authority`
 * becomes Host, `:path` the target, crumbs of cookies one field, extended CONNECT (RFC 8441) a request for an upgrade.
 * This is the gate against smuggling by downgrade: what could become another message in HTTP/1.1 is refused here. One
 * per thread, used from `begin` to `finish` without a wait.
 */
import { randomBytes } from 'node:crypto';
import { copyBytes } from '../../base/copy-bytes.ts';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { ConnectionLimits } from '../contract/snapshot.ts';
import type { RefusedHead } from '../exchange/refused-head.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { CR, LF, TARGET, TOKEN } from '../parser/bytes.ts';
import {
  CONNECTION,
  HOST,
  KEEP_ALIVE,
  nameIs,
  OTHER,
  PROXY_CONNECTION,
  TE,
  TRANSFER_ENCODING,
  UPGRADE,
} from '../parser/field-names.ts';
import { readRequestFraming, UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { FieldSink } from './hpack/decoder.ts';
import {
  COOKIE,
  FIRST_PSEUDO,
  INVALID,
  P_AUTHORITY,
  P_METHOD,
  P_PATH,
  P_PROTOCOL,
  P_SCHEME,
  P_STATUS,
  P_UNKNOWN,
} from './hpack/field-kinds.ts';

const MARKS = 4;
const MAX_METHOD_BYTES = 24;
const NOTHING = Buffer.alloc(0);
const COLON = 0x3a;
const SPACE = 0x20;
const HOST_NAME = Buffer.from('host', 'latin1');
const COOKIE_NAME = Buffer.from('cookie', 'latin1');
const UPGRADE_NAME = Buffer.from('upgrade', 'latin1');
const KEY_NAME = Buffer.from('sec-websocket-key', 'latin1');
const WEBSOCKET = Buffer.from('websocket', 'latin1');

class RequestHeadReader implements FieldSink {
  #incoming: RequestBuffers | null = null;
  #limits: ConnectionLimits | null = null;
  #out: Buffer = NOTHING;
  #length = 0;
  #count = 0;
  #seen = 0;
  #kind: FaultKind | null = null;
  #detail = '';
  #regular = false;
  #pseudo = 0;
  #method = '';
  #scheme = '';
  #protocol = '';
  #targetStart = 0;
  #targetEnd = 0;
  /** Of a refused head, the lines behind the reason. */
  #refusedTarget: string | null = null;
  #refusedAuthority = '';
  #refusedOrigin: string | null = null;
  #hostFromAuthority = -1;
  #crumbs: Buffer = Buffer.allocUnsafeSlow(512);
  #crumbBytes = 0;
  /** RFC 9218 §5; empty when there is none. */
  priority = '';

  begin(incoming: RequestBuffers, limits: ConnectionLimits): void {
    this.#incoming = incoming;
    this.#limits = limits;
    this.#out = incoming.bytes;
    incoming.head.origins ??= new Float64Array(incoming.head.ids.length);
    this.#length = 0;
    this.#count = 0;
    this.#seen = 0;
    this.#kind = null;
    this.#regular = false;
    this.#pseudo = 0;
    this.#method = '';
    this.#protocol = '';
    this.#targetStart = 0;
    this.#targetEnd = 0;
    this.#refusedTarget = null;
    this.#refusedAuthority = '';
    this.#refusedOrigin = null;
    this.#hostFromAuthority = -1;
    this.#crumbBytes = 0;
    this.priority = '';
  }

  onField(bytes: Buffer, start: number, nameLength: number, valueLength: number, kind: number, origin: number): void {
    if (this.#kind !== null) this.#onFieldOfRefused(bytes, start, nameLength, valueLength, kind);
    else if (kind < FIRST_PSEUDO) this.#onRegular(bytes, start, nameLength, valueLength, kind, origin);
    else if (kind <= P_UNKNOWN) this.#onPseudo(bytes, start + nameLength + 2, valueLength, kind);
    else if (kind === COOKIE) this.#onCrumb(bytes, start + nameLength + 2, valueLength);
    else if (kind === INVALID)
      this.#malformed(
        'a field name has a capital or is not a token, or a value has a control character or outer white space',
      );
  }

  /** Who asks stands behind what is too long. */
  #onFieldOfRefused(bytes: Buffer, start: number, nameLength: number, valueLength: number, kind: number): void {
    const from = start + nameLength + 2;
    if (kind === P_AUTHORITY) this.#refusedAuthority = bytes.latin1Slice(from, from + valueLength);
    else if (kind === OTHER && nameIs(bytes, start, start + nameLength, 'origin'))
      this.#refusedOrigin = bytes.latin1Slice(from, from + valueLength);
  }

  /** Of what was refused, as long as its `head` is there. */
  refusedHead({ marks, ids }: RequestBuffers['head']): RefusedHead {
    const out = this.#out;
    let authority = this.#refusedAuthority;
    let origin = this.#refusedOrigin;
    for (let i = 0; i < this.#count; i++) {
      const mark = i * MARKS;
      const value = (): string => out.latin1Slice(marks[mark + 2]!, marks[mark + 3]!);
      if (ids[i] === HOST) authority = value();
      else if (ids[i] === OTHER && nameIs(out, marks[mark]!, marks[mark + 1]!, 'origin')) origin = value();
    }
    const target = this.#refusedTarget ?? out.latin1Slice(this.#targetStart, this.#targetEnd);
    return { method: this.#method, target, authority, origin };
  }

  #refuse(kind: FaultKind, detail: string): void {
    this.#kind = kind;
    this.#detail = detail;
  }

  #malformed(detail: string): void {
    this.#refuse(FAULTS.malformedRequest, detail);
  }

  #onRegular(
    bytes: Buffer,
    start: number,
    nameLength: number,
    valueLength: number,
    kind: number,
    origin: number,
  ): void {
    this.#regular = true;
    switch (kind) {
      case CONNECTION:
      case KEEP_ALIVE:
      case PROXY_CONNECTION:
      case TRANSFER_ENCODING:
      case UPGRADE:
        // §8.2.2
        this.#malformed(`${bytes.latin1Slice(start, start + nameLength)} is a field of HTTP/1.1 connections`);
        return;
      case TE: {
        const valueStart = start + nameLength + 2;
        if (!nameIs(bytes, valueStart, valueStart + valueLength, 'trailers')) {
          this.#malformed('TE is something other than trailers');
          return;
        }
        break;
      }
      case HOST:
        if (this.#hostFromAuthority >= 0) {
          this.#compareHost(bytes, start + nameLength + 2, valueLength);
          return;
        }
        break;
      case OTHER:
        if (nameLength === 8 && nameIs(bytes, start, start + 8, 'priority'))
          this.priority = bytes.latin1Slice(start + 10, start + 10 + valueLength);
        break;
      default:
    }
    this.#append(bytes, start, nameLength, valueLength, kind, origin);
  }

  /** §8.3.1: both may be there, and then they say the same. */
  #compareHost(bytes: Buffer, start: number, length: number): void {
    const { marks } = this.#incoming!.head;
    const mark = this.#hostFromAuthority * MARKS;
    const from = marks[mark + 2]!;
    const sameLength = marks[mark + 3]! - from === length;
    if (!sameLength || !nameIs(bytes, start, start + length, this.#out.latin1Slice(from, from + length).toLowerCase()))
      this.#malformed('Host and :authority differ');
  }

  #append(bytes: Buffer, start: number, nameLength: number, valueLength: number, kind: number, origin: number): void {
    const length = nameLength + valueLength + 4;
    if (!this.#hasRoom(length) || !this.#hasField()) return;
    copyBytes(bytes, start, start + length, this.#out, this.#length);
    this.#mark(nameLength, valueLength, kind, origin);
  }

  #hasRoom(length: number): boolean {
    const { maxHeadBytes } = this.#limits!;
    const needed = this.#length + length + 2;
    if (needed > maxHeadBytes) {
      this.#refuse(FAULTS.headTooLarge, `the limit is ${maxHeadBytes} bytes`);
      return false;
    }
    if (needed > this.#out.length) {
      const larger = Buffer.allocUnsafe(Math.min(Math.max(needed, this.#out.length * 2), maxHeadBytes));
      this.#out.copy(larger, 0, 0, this.#length);
      this.#out = larger;
    }
    return true;
  }

  #onPseudo(bytes: Buffer, start: number, length: number, kind: number): void {
    // §8.3: before all other fields, once each, and none that requests do not have.
    const bit = 1 << (kind - FIRST_PSEUDO);
    if (this.#regular) this.#malformed('a pseudo-field stands behind other fields');
    else if (kind === P_UNKNOWN || kind === P_STATUS) this.#malformed('a pseudo-field that requests do not have');
    else if ((this.#pseudo & bit) !== 0) this.#malformed('a pseudo-field stands there twice');
    if (this.#kind !== null) return;
    this.#pseudo |= bit;
    switch (kind) {
      case P_METHOD:
        this.#onMethod(bytes, start, length);
        break;
      case P_SCHEME:
        this.#scheme = length === 5 ? 'https' : 'http';
        if (!nameIs(bytes, start, start + length, this.#scheme)) this.#malformed(':scheme is neither http nor https');
        break;
      case P_AUTHORITY:
        this.#hostFromAuthority = this.#count;
        this.#add(HOST_NAME, bytes, start, length, HOST);
        break;
      case P_PATH:
        if (length > this.#limits!.maxTargetBytes) {
          this.#refusedTarget = bytes.latin1Slice(start, start + this.#limits!.maxTargetBytes);
          this.#refuse(FAULTS.uriTooLong, `the limit is ${this.#limits!.maxTargetBytes} bytes`);
        } else if (this.#hasRoom(length)) {
          this.#targetStart = this.#length;
          copyBytes(bytes, start, start + length, this.#out, this.#length);
          this.#length += length;
          this.#targetEnd = this.#length;
        }
        break;
      default:
        this.#protocol = bytes.latin1Slice(start, start + length);
    }
  }

  #onMethod(bytes: Buffer, start: number, length: number): void {
    if (length > MAX_METHOD_BYTES) {
      this.#refuse(FAULTS.methodNotImplemented, 'the method is too long');
      return;
    }
    if (length === 3 && bytes[start] === 0x47 && bytes[start + 1] === 0x45 && bytes[start + 2] === 0x54) {
      this.#method = 'GET';
      return;
    }
    for (let i = start; i < start + length; i++)
      if (TOKEN[bytes[i]!] === 0) this.#malformed('the method is not a token');
    if (length === 0) this.#malformed('the method is empty');
    this.#method = bytes.latin1Slice(start, start + length);
  }

  /** A field of ours, or one whose value came under another name. */
  #add(name: Buffer, value: Buffer, start: number, length: number, kind: number): void {
    if (!this.#hasRoom(name.length + length + 4) || !this.#hasField()) return;
    const out = this.#out;
    const at = this.#length;
    const from = at + name.length + 2;
    for (let i = 0; i < name.length; i++) out[at + i] = name[i]!;
    out[from - 2] = COLON;
    out[from - 1] = SPACE;
    copyBytes(value, start, start + length, out, from);
    out[from + length] = CR;
    out[from + length + 1] = LF;
    this.#mark(name.length, length, kind, 0);
  }

  #hasField(): boolean {
    if (this.#count < Math.min(this.#limits!.maxFields, this.#incoming!.head.ids.length)) return true;
    this.#refuse(FAULTS.headTooLarge, `the limit is ${this.#limits!.maxFields} fields`);
    return false;
  }

  /** The line that was written at the end of what there is. */
  #mark(nameLength: number, valueLength: number, kind: number, origin: number): void {
    const { marks, ids, origins } = this.#incoming!.head;
    const at = this.#length;
    const mark = this.#count * MARKS;
    marks[mark] = at;
    marks[mark + 1] = at + nameLength;
    marks[mark + 2] = at + nameLength + 2;
    marks[mark + 3] = at + nameLength + 2 + valueLength;
    origins![this.#count] = origin;
    ids[this.#count++] = kind;
    this.#seen |= 1 << kind;
    this.#length = at + nameLength + valueLength + 4;
  }

  #onCrumb(bytes: Buffer, start: number, length: number): void {
    this.#regular = true;
    const separator = this.#crumbBytes === 0 ? 0 : 2;
    const needed = this.#crumbBytes + separator + length;
    if (needed > this.#limits!.maxHeadBytes) {
      this.#refuse(FAULTS.headTooLarge, `the limit is ${this.#limits!.maxHeadBytes} bytes`);
      return;
    }
    if (needed > this.#crumbs.length) {
      const larger = Buffer.allocUnsafeSlow(needed * 2);
      this.#crumbs.copy(larger, 0, 0, this.#crumbBytes);
      this.#crumbs = larger;
    }
    if (separator > 0) {
      this.#crumbs[this.#crumbBytes++] = 0x3b;
      this.#crumbs[this.#crumbBytes++] = 0x20;
    }
    bytes.copy(this.#crumbs, this.#crumbBytes, start, start + length);
    this.#crumbBytes += length;
  }

  /**
   * Fills head and meaning. Returns what is wrong, with `detail`, or null. `ended`: no body follows. With a fault of
   * kind
   * `malformedRequest` nothing may be sent to an instance (§8.1.1).
   */
  finish(ended: boolean): FaultKind | null {
    const incoming = this.#incoming!;
    const { head, meaning } = incoming;
    if (this.#crumbBytes > 0 && this.#kind === null) this.#add(COOKIE_NAME, this.#crumbs, 0, this.#crumbBytes, OTHER);
    if (this.#kind === null) this.#checkPseudo();
    let upgrade = -1;
    if (this.#kind === null && this.#protocol !== '') upgrade = this.#becomeUpgrade();
    if (this.#kind !== null) return this.#end();
    this.#out[this.#length] = 0x0d;
    this.#out[this.#length + 1] = 0x0a;
    head.bytes = this.#out;
    head.fieldsStart = 0;
    head.end = this.#length + 2;
    head.major = 2;
    // The grammar of what the fields mean is that of HTTP/1.1.
    head.minor = 1;
    head.method = this.#method;
    head.targetStart = this.#targetStart;
    head.targetEnd = this.#targetEnd;
    head.count = this.#count;
    head.seen = this.#seen;
    const isSound = readRequestFraming(head, meaning);
    head.minor = 0;
    if (!isSound) {
      this.#refuse(head.problem, head.detail);
      return this.#end();
    }
    meaning.keepAlive = true;
    if (upgrade >= 0) {
      meaning.upgrade = upgrade;
      meaning.bodyLength = 0;
    } else if (ended) {
      // §8.1.1
      if (meaning.bodyLength > 0) this.#malformed('Content-Length is not 0 and there is no body');
      meaning.bodyLength = 0;
    } else if (!meaning.lengthGiven) meaning.bodyLength = UNKNOWN_LENGTH;
    return this.#end();
  }

  #end(): FaultKind | null {
    const kind = this.#kind;
    this.#incoming = null;
    // Of what is refused `refusedHead` reads.
    if (kind === null) this.#out = NOTHING;
    return kind;
  }

  get detail(): string {
    return this.#detail;
  }

  #checkPseudo(): void {
    if (!this.#has(P_METHOD)) {
      this.#malformed(':method is missing');
    } else if (this.#method === 'CONNECT' && !this.#has(P_PROTOCOL)) {
      // §8.5: to a host and a port; the gateway is no forward proxy and says so as it does in HTTP/1.1.
      if (this.#has(P_PATH) || this.#has(P_SCHEME) || !this.#has(P_AUTHORITY))
        this.#malformed('CONNECT takes :authority alone');
      else this.#refuse(FAULTS.methodNotImplemented, 'CONNECT is for forward proxies');
    } else if (!this.#has(P_SCHEME)) {
      this.#malformed(':scheme is missing');
    } else if (!this.#has(P_PATH)) {
      this.#malformed(':path is missing');
    } else {
      this.#checkPath();
      if (this.#has(P_PROTOCOL) && this.#method !== 'CONNECT') this.#malformed(':protocol goes with CONNECT');
    }
  }

  #has(kind: number): boolean {
    return (this.#pseudo & (1 << (kind - FIRST_PSEUDO))) !== 0;
  }

  #checkPath(): void {
    const out = this.#out;
    const start = this.#targetStart;
    const end = this.#targetEnd;
    const isAsterisk = out[start] === 0x2a && end - start === 1 && this.#method === 'OPTIONS';
    if (end === start || (out[start] !== 0x2f && !isAsterisk)) this.#malformed(':path does not begin with a slash');
    for (let i = start; i < end; i++) {
      if (TARGET[out[i]!] === 1) continue;
      this.#malformed(':path has a character that it may not have');
      return;
    }
  }

  /** RFC 8441 §4: what a WebSocket handshake is in HTTP/1.1. Returns the field that names the protocol. */
  #becomeUpgrade(): number {
    if (this.#protocol !== 'websocket') {
      this.#refuse(FAULTS.methodNotImplemented, 'only websocket is a :protocol that is known');
      return -1;
    }
    this.#method = 'GET';
    // Instances that speak HTTP/1.1 want a key (RFC 6455 §4.1); what they make of it is not passed on.
    const key = Buffer.from(randomBytes(16).toString('base64'), 'latin1');
    this.#add(KEY_NAME, key, 0, key.length, OTHER);
    const field = this.#count;
    this.#add(UPGRADE_NAME, WEBSOCKET, 0, WEBSOCKET.length, UPGRADE);
    return field;
  }
}

/** One for the thread. */
export const requestHead: RequestHeadReader = new RequestHeadReader();
