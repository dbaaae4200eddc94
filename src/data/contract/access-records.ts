/** What workers need to know of the access log beyond its target: form, fields, which records, what is hidden. */

/** Control to workers: settings, or null for the usual JSON record. */
export const RECORDS_SETTINGS_TOPIC = 'access-records:settings';
/** Control to workers: the file was moved away, open it anew. A number that counts up. */
export const REOPEN_TOPIC = 'access-records:reopen';

export const RECORD_FIELDS = [
  'time',
  'request_id',
  'trace_id',
  'address',
  'method',
  'host',
  'path',
  'query',
  'protocol',
  'status',
  'duration_ms',
  'upstream_ms',
  'grpc_status',
  'bytes_in',
  'bytes_out',
  'route',
  'service',
  'instance',
  'attempts',
  'subject',
  'user_agent',
  'referer',
  'fault',
  'cause',
] as const;
export type RecordField = (typeof RECORD_FIELDS)[number];

export interface AccessRecordSettings {
  readonly format: 'json' | 'logfmt' | 'combined';
  /** In order; `header:NAME` is a field of the request. */
  readonly fields: readonly (RecordField | `header:${string}`)[];
  /** Share of successes (status below 400, of a gRPC call OK, no fault) that are written, 0 to 1. */
  readonly successes: number;
  /** Lower-case names of query parameters and header fields whose values are hidden. */
  readonly hiddenNames: readonly string[];
  /** Sources of regular expressions; what they match is hidden in every text. */
  readonly hiddenPatterns: readonly string[];
}
