/** What an exchange needs of its worker. */
import type { Logger } from '../../base/log.ts';
import type { LiveStreams } from '../auth/live-streams.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { PolicyContext } from '../contract/policy.ts';
import type { AccessLog } from '../response/access-log.ts';
import type { AccessRecords } from '../response/access-record.ts';
import type { SecurityWatch } from '../response/security-watch.ts';
import type { Tail } from '../response/tail.ts';

import type { HostCache } from '../router/host-cache.ts';
import type { TargetCache } from '../router/target-cache.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { Sources } from '../wire/sources.ts';
import type { ActiveConfig } from './active-config.ts';
import type { AskedCounts } from './asked-counts.ts';
import type { RequestIds } from './request-ids.ts';
import type { Tries } from './step-times.ts';
import type { CallHost } from './upstream-call.ts';

export interface ExchangeHost extends CallHost {
  readonly sources: Sources;
  readonly log: Logger;
  readonly accessLog: AccessLog;
  /** Null while requests are not watched live. */
  readonly tail: Tail | null;
  /** Receives requests that matched no route and heads that were refused. */
  readonly abuse: AbuseWatch;
  /** Tunnels and streams that end with the credential of their caller. */
  readonly streams: LiveStreams;
  readonly hosts: HostCache;
  readonly targets: TargetCache;
  readonly requestIds: RequestIds;
  /** What compositions and handlers ask of services. */
  readonly asked: AskedCounts;
  /** At least 0, less than 1. */
  readonly random: () => number;
  /** Null for the usual access record. */
  readonly records: AccessRecords | null;
  /** Null while security events have no receiver. */
  readonly security: SecurityWatch | null;
  /** Null while nothing is traced. */
  readonly tracer: Tracer | null;
  /** Null while no request is tried. */
  readonly tries: Tries | null;
  /** Swapped by a reload. */
  readonly live: ActiveConfig;
  /** `Date`, made once a second. */
  date(): FieldBlock;
  hasTunnelLeft(): boolean;
}

export interface AbuseWatch {
  /** Is the caller's address banned, or what this page of another site makes its visitor's browser do held back? */
  keepsOut(exchange: Pick<PolicyContext, 'address' | 'header'>): boolean;
  refused(address: string): void;
  ended(exchange: PolicyContext): void;
}
