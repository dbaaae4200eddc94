/**
 * When certificates end: those that the configuration names and those that ACME got, as one metric and one list. Text
 * for the warning of `gatehouse check` is here too, so that all of them mean the same by "soon".
 */
import type { ExtraMetric } from '../../base/extra-metric.ts';

export interface CertificateEnd {
  /** Its first DNS name, or the common name where it has none. */
  readonly name: string;
  /** The key that names it in the configuration, or `acme`. */
  readonly source: string;
  readonly endsAtMs: number;
}

/** What is left when an end is said to be near. The alert rule says the same. */
export const ENDS_SOON_DAYS = 14;
const DAY_MS = 86_400_000;
export const ENDS_SOON_MS = ENDS_SOON_DAYS * DAY_MS;

/** Such as `ends on 2027-01-02, in 5 days`. */
export function wordsOfEnd(endsAtMs: number, nowMs: number): string {
  const day = new Date(endsAtMs).toISOString().slice(0, 10);
  if (endsAtMs <= nowMs) return `ended on ${day}`;
  const days = Math.round((endsAtMs - nowMs) / DAY_MS);
  return `ends on ${day}, ${endsAtMs - nowMs < DAY_MS ? 'in less than a day' : `in ${days} ${days === 1 ? 'day' : 'days'}`}`;
}

export function endsMetric(ends: readonly CertificateEnd[]): ExtraMetric {
  return {
    name: 'gatehouse_certificate_expiry_timestamp_seconds',
    type: 'gauge',
    help: 'End of a certificate, in seconds since 1970; of several in one file, of the first to end',
    samples: ends.map(({ name, source, endsAtMs }) => ({ labels: { name, source }, value: endsAtMs / 1_000 })),
  };
}

/** As status has it. Nothing renews those of the configuration: the problem is that one ends. */
export function endReport({ name, source, endsAtMs }: CertificateEnd, nowMs: number) {
  return {
    name,
    source,
    validUntil: new Date(endsAtMs).toISOString(),
    renewAt: null,
    ordering: false,
    failures: 0,
    nextTryAt: null,
    problem: endsAtMs - nowMs < ENDS_SOON_MS ? wordsOfEnd(endsAtMs, nowMs) : null,
  };
}
