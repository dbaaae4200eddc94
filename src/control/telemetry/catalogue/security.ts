/** Security events, accounts, token issuers, certificates. */
import type { MetricDefinition } from './definition.ts';

export const SECURITY_METRICS = {
  gatehouse_acme_orders_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Orders of certificates, by what became of them',
  },
  gatehouse_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    labels: ['name', 'source'],
    help: 'End of a certificate, in seconds since 1970; of several in one file, of the first to end',
  },
  gatehouse_identity_address_refusals_total: {
    type: 'counter',
    labels: [],
    help: 'Calls refused because an address had used up what it may ask for without an account',
  },
  gatehouse_identity_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['method'],
    help: 'Time of calls to the account API',
  },
  gatehouse_identity_events_total: {
    type: 'counter',
    labels: ['action'],
    help: 'Security events by action, such as session.created and login.failed',
  },
  gatehouse_identity_hashes_queued: { type: 'gauge', labels: [], help: 'Password hashes waiting for their turn' },
  gatehouse_identity_hashes_running: { type: 'gauge', labels: [], help: 'Password hashes being computed' },
  gatehouse_identity_tokens_total: { type: 'counter', labels: [], help: 'Access tokens signed' },
  gatehouse_issuer_fetch_failures: {
    type: 'gauge',
    labels: ['issuer', 'id'],
    help: 'Fetches of the keys of an outside token issuer that failed in a row',
  },
  gatehouse_issuer_keys: {
    type: 'gauge',
    labels: ['issuer', 'id'],
    help: 'Keys of an outside token issuer that count now',
  },
  gatehouse_security_events_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Security events left out of the stream because there were too many or the disk was too slow',
  },
  gatehouse_security_events_total: { type: 'counter', labels: ['event'], help: 'Security events by name' },
  gatehouse_tickets_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Tickets for WebSockets and event streams, by what became of them',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
