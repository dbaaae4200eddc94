/**
 * What travels with an exchange: the request as it was understood, what policies found out about the caller, and
 * what they want changed. The only object that policies, the router and balancers see (as `PolicyContext`,
 * `RouterRequest`, `BalancerRequest`). Strings are cut from the head's bytes on first use.
 */
import type { Fault } from '../../base/errors.ts';
import { outcomeOf } from '../../base/grpc-status.ts';
import type { BalancerRequest } from '../contract/balancer.ts';
import type { BodyAccess } from '../contract/body-access.ts';
import type { ByteWriter } from '../contract/byte-writer.ts';
import { LISTENER_FIELD, SCHEME_FIELD } from '../contract/connection-fields.ts';
import type { ChannelCall } from '../contract/events.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { FieldNames } from '../contract/field-names.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { FieldRange, Identity, LimitNotice, PolicyContext, Reply } from '../contract/policy.ts';
import { checkNotFraming, checkTarget } from '../contract/policy-limits.ts';
import { AUTHORIZATION, USER_AGENT, X_REQUEST_ID } from '../parser/field-names.ts';
import type { Head } from '../parser/head.ts';
import type { Target } from '../parser/target.ts';
import type { RouteMatchResult } from '../router/match-result.ts';
import type { ExchangeTrace } from '../trace/exchange-trace.ts';
import type { CompiledRoute } from './active-config.ts';
import type { Peer } from './downstream.ts';
import { FieldChanges, RemovingWriter } from './field-changes.ts';
import type { ProxiedClient } from './proxied-client.ts';
import { RequestBuffers } from './request-buffers.ts';
import type { RequestIds } from './request-ids.ts';

const COLON = 0x3a;
const NO_NOTICES: LimitNotice[] = [];
const NO_REQUEST: RequestBuffers = new RequestBuffers(0);

/** Request ids from outside are kept when they look like one: no surprise in a log, a header or a file name. */
const SANE_REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._~+/=-]{7,127}$/;

export class Context implements Omit<PolicyContext, keyof BodyAccess | 'sentUpstream'>, BalancerRequest {
  readonly peer: Peer;
  protected incoming: RequestBuffers;
  readonly method: string;
  target: Target;
  matched: RouteMatchResult;
  readonly startedMs: number;

  host = '';
  /** Host with port, as the caller wrote it. */
  authority = '';
  address = '';
  /** What the trusted proxy that sent the request says of its client; null where the client itself did. */
  client: ProxiedClient | null = null;
  #requestId = '';
  route: CompiledRoute | null = null;
  identity: Identity | null = null;
  channel: ChannelCall | null = null;
  outlivesExpiry = false;
  /** The path as the upstream gets it, before an instance's own prefix. */
  upstreamPath = '';
  upstreamQuery: string | null = null;
  /** Of the path nothing is left but the instance's own prefix. */
  isAllStripped = false;
  /** A policy has said where the request goes: nothing of the route's rewrite holds. */
  isTargetChanged = false;
  /** `upstreamQuery` is a policy's and not the client's. */
  isQueryChanged = false;
  status = 0;
  /** How a gRPC call ended; -1 for what is none, and before its end. */
  grpcStatus = -1;
  fault: Fault | null = null;
  /** Null while nothing is traced. */
  trace: ExchangeTrace | null = null;
  /** Only inside `responseHead`. */
  responseFields: Head | null = null;
  /** The same, of a response that is made here. */
  replyFields: Reply['headers'] | null = null;

  /** Null: none. */
  protected upstreamChanges: FieldChanges | null = null;
  responseChanges: FieldChanges | null = null;
  /** The nearest notice of a limit. */
  #notice: LimitNotice | null = null;
  /** All of them when there are several; `NO_NOTICES` when `#notice` is the only one, null when there is none. */
  #notices: LimitNotice[] | null = null;
  /** `,"name":value` parts of the access record. */
  protected logParts = '';

  constructor(peer: Peer, incoming: RequestBuffers, startedMs: number) {
    this.peer = peer;
    this.incoming = incoming;
    this.target = incoming.target;
    this.matched = incoming.matched;
    // Used again from request to request: what a refusal before the route may ask for must not be another one's.
    this.target.path = '';
    this.matched.reset();
    this.method = incoming.head.method;
    this.startedMs = startedMs;
  }

  /** From here on there are no fields, no query and no parameters. */
  protected leaveRequest(): void {
    this.incoming = NO_REQUEST;
    this.target = NO_REQUEST.target;
    this.matched = NO_REQUEST.matched;
    this.client = null;
  }

  /** In `finish`. */
  get outcome(): number {
    return outcomeOf(this.status, this.grpcStatus, this.fault?.kind.status ?? 0);
  }

  get requestId(): string {
    if (this.#requestId === '') this.#requestId = this.incoming.id.latin1Slice(0, this.incoming.idLength);
    return this.#requestId;
  }

  writeRequestId(out: ByteWriter): void {
    out.words(this.incoming.idWords, this.incoming.idLength);
  }

  /** In Latin-1, at most 128 bytes; returns how many. */
  copyRequestId(to: Buffer, at: number): number {
    const { id, idLength } = this.incoming;
    for (let i = 0; i < idLength; i++) to[at + i] = id[i]!;
    return idLength;
  }

  get routeId(): string {
    return this.route?.settings.id ?? '';
  }

  get path(): string {
    return this.target.path;
  }

  get query(): string {
    return this.target.query;
  }

  get scheme(): 'http' | 'https' {
    return this.peer.secure ? 'https' : 'http';
  }

  /** Version of HTTP on the client's side. */
  get protocol(): string {
    return this.incoming.head.major === 2 ? '2' : '1.1';
  }

  get clientCertificate(): PolicyContext['clientCertificate'] {
    return this.peer.clientCertificate;
  }

  get params(): Readonly<Record<string, string>> {
    return this.matched.params;
  }

  get subject(): string | null {
    return this.identity?.subject ?? null;
  }

  get contentLength(): number {
    return this.incoming.meaning.bodyLength;
  }

  header(name: string): string | null {
    if (name.charCodeAt(0) === COLON) return this.#ofConnection(name);
    return this.incoming.head.valueOf(name);
  }

  /** Does the request have one of these fields? */
  hasAnyField(names: FieldNames): boolean {
    return this.incoming.head.hasAny(names);
  }

  #ofConnection(name: string): string | null {
    if (name === SCHEME_FIELD) return this.callerScheme;
    return name === LISTENER_FIELD ? this.peer.listener : null;
  }

  /** What the caller used, as a trusted proxy in front says. */
  get callerScheme(): 'http' | 'https' {
    return this.client === null ? this.scheme : this.client.scheme;
  }

  authorizationAt(out: FieldRange): boolean {
    const { head } = this.incoming;
    const at = head.find(AUTHORIZATION);
    if (at < 0 || head.find(AUTHORIZATION, at + 1) >= 0) return false;
    out.bytes = head.bytes;
    out.view = this.incoming.viewOfHead();
    out.start = head.marks[at * 4 + 2]!;
    out.end = head.marks[at * 4 + 3]!;
    return true;
  }

  cookie(name: string): string | null {
    const cookies = this.header('cookie');
    if (cookies === null) return null;
    for (let at = 0; at < cookies.length; ) {
      let end = cookies.indexOf(';', at);
      if (end < 0) end = cookies.length;
      const equals = cookies.indexOf('=', at);
      if (equals > 0 && equals < end && cookies.slice(at, equals).trim() === name) {
        const value = cookies.slice(equals + 1, end).trim();
        return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
      }
      at = end + 1;
    }
    return null;
  }

  userAgent(): string | null {
    const at = this.incoming.head.find(USER_AGENT);
    return at < 0 ? null : this.incoming.head.value(at);
  }

  /** The id of the caller when it is sane, else a new one. */
  protected nameRequest(ids: RequestIds): void {
    const { head, id, idWords } = this.incoming;
    const at = head.find(X_REQUEST_ID);
    const given = at < 0 ? '' : head.value(at);
    if (given !== '' && SANE_REQUEST_ID.test(given)) this.incoming.idLength = id.latin1Write(given, 0);
    else this.incoming.idLength = ids.write(idWords);
  }

  // --- what policies want changed ----------------------------------------------------------------------------

  setUpstreamQuery(query: string | null): void {
    if (query !== null && !/^[!-~]*$/.test(query)) throw new TypeError(`not a query: ${JSON.stringify(query)}`);
    this.upstreamQuery = query;
    this.isQueryChanged = true;
  }

  get upstreamQueryNow(): string {
    return this.isQueryChanged ? (this.upstreamQuery ?? '') : this.query;
  }

  setUpstreamTarget(path: string, query: string | null): void {
    checkTarget(path, query);
    this.upstreamPath = path;
    this.upstreamQuery = query;
    this.isTargetChanged = true;
  }

  setUpstreamHeader(name: string, value: string): void {
    checkNotFraming(name);
    this.upstreamChanges ??= new FieldChanges();
    this.upstreamChanges.set(name, value);
  }

  removeUpstreamHeader(name: string): void {
    checkNotFraming(name);
    this.upstreamChanges ??= new FieldChanges();
    this.upstreamChanges.remove(name);
  }

  addResponseHeader(name: string, value: string): void {
    checkNotFraming(name);
    this.responseChanges ??= new FieldChanges();
    this.responseChanges.add(name, value);
  }

  /** Fields that are known to be valid, added without a check. */
  addResponseFields(block: FieldBlock): void {
    this.responseChanges ??= new FieldChanges();
    this.responseChanges.addBlock(block);
  }

  setResponseHeader(name: string, value: string): void {
    checkNotFraming(name);
    this.responseChanges ??= new FieldChanges();
    this.responseChanges.set(name, value);
  }

  setUpstreamFields(block: FieldBlock): void {
    this.upstreamChanges ??= new FieldChanges();
    this.upstreamChanges.setBlock(block, true);
  }

  setResponseFields(block: FieldBlock): void {
    this.responseChanges ??= new FieldChanges();
    this.responseChanges.setBlock(block, this.#mayHave(block.keys));
  }

  setMissingFields(block: FieldBlock): void {
    const head = this.responseFields;
    if (head === null || !head.hasAny(block.keys)) {
      this.setResponseFields(block);
      return;
    }
    const { names, values, keys } = block;
    for (let i = 0; i < names.length; i++)
      if (head.valueOf(keys.lower[i]!) === null) this.setResponseHeader(names[i]!, values[i]!);
  }

  removeServiceFields(names: FieldNames): void {
    const head = this.responseFields;
    if (head === null || !head.hasAny(names)) return;
    for (const name of names.lower) if (head.valueOf(name) !== null) this.removeResponseHeader(name);
  }

  /** May there be such fields beside those that were added here: of a service, of a reply, of limits? */
  #mayHave(names: FieldNames): boolean {
    return this.#notice !== null || this.responseFields === null || this.responseFields.hasAny(names);
  }

  /** In place of the service's fields of that name; what the gateway has added stays. */
  replaceResponseHeader(name: string, values: readonly string[]): void {
    this.responseChanges ??= new FieldChanges();
    this.responseChanges.replace(name, values);
  }

  removeResponseHeader(name: string): void {
    checkNotFraming(name);
    this.responseChanges ??= new FieldChanges();
    this.responseChanges.remove(name);
  }

  noteLimit(notice: LimitNotice): void {
    if (this.#notices === null) {
      this.#notice = notice;
      this.#notices = NO_NOTICES;
      return;
    }
    if (this.#notices === NO_NOTICES) this.#notices = [this.#notice!];
    this.#notices.push(notice);
    if (notice.hasLegacy && (!this.#notice!.hasLegacy || notice.nearness < this.#notice!.nearness))
      this.#notice = notice;
  }

  /** The response has limit fields that services send as well. */
  get tellsLimits(): boolean {
    return this.#notice?.hasLegacy === true;
  }

  /** Writes the rate limit fields. */
  writeNotices(out: FieldWriter): void {
    const nearest = this.#notice;
    if (nearest === null) return;
    const changes = this.responseChanges;
    const kept = changes === null || changes.removed === null ? out : new RemovingWriter(out, changes);
    this.#writeNotices(kept, nearest);
  }

  #writeNotices(out: FieldWriter, nearest: LimitNotice): void {
    if (nearest.hasLegacy) nearest.writeLegacy(out);
    if (this.#notices === NO_NOTICES) nearest.writeStandard(out);
    else for (const notice of this.#notices!) notice.writeStandard(out);
  }

  responseHeader(name: string): string | null {
    return this.responseFields?.valueOf(name) ?? null;
  }

  sentHeader(name: string): string | null {
    const changes = this.responseChanges;
    const own = changes?.removes(name) === true ? null : this.#madeHeader(name);
    const added = changes === null ? null : changes.addedValue(name);
    return own === null || added === null ? (own ?? added) : `${own}, ${added}`;
  }

  #madeHeader(name: string): string | null {
    if (this.replyFields === null) return this.responseHeader(name);
    for (const each in this.replyFields) if (each.toLowerCase() === name) return this.replyFields[each]!;
    return null;
  }

  /** `,"name":value` as it stands in the record. */
  logConstant(part: string): void {
    this.logParts += part;
  }

  logField(name: string, value: string | number): void {
    this.logParts += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
}
