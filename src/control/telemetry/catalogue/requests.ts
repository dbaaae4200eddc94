/** Requests and responses, by route or in all. */
import type { MetricDefinition } from './definition.ts';

export const REQUEST_METRICS = {
  gatehouse_bytes_received_total: { type: 'counter', labels: [], help: 'Request body bytes received' },
  gatehouse_bytes_sent_total: { type: 'counter', labels: [], help: 'Response body bytes sent' },
  gatehouse_compressed_responses_total: { type: 'counter', labels: [], help: 'Responses that the gateway packed' },
  gatehouse_compression_bytes_in_total: {
    type: 'counter',
    labels: [],
    help: 'Bytes of responses before they were packed',
  },
  gatehouse_compression_bytes_out_total: {
    type: 'counter',
    labels: [],
    help: 'Bytes of responses after they were packed',
  },
  gatehouse_exchanges_aborted_total: {
    type: 'counter',
    labels: [],
    help: 'Requests whose client went away before the response was complete',
  },
  gatehouse_exchanges_active: { type: 'gauge', labels: [], help: 'Requests being handled now' },
  gatehouse_faults_injected_total: {
    type: 'counter',
    labels: [],
    help: 'Requests made slow or failed on purpose (faultInjection)',
  },
  gatehouse_faults_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Requests that ended in a fault, by reason (docs/errors.md)',
  },
  gatehouse_grpc_calls_total: {
    type: 'counter',
    labels: ['route', 'code'],
    help: 'gRPC and gRPC-Web calls, by route and how they ended, such as OK or UNAVAILABLE; they are among the requests, too',
  },
  gatehouse_invalid_responses_total: {
    type: 'counter',
    labels: [],
    help: 'Responses that did not fit what the API describes, refused or reported',
  },
  gatehouse_protocol_requests_total: {
    type: 'counter',
    labels: ['route', 'protocol'],
    help: 'Requests answered, by route and the protocol of the client: http/1.1 or h2',
  },
  gatehouse_request_bytes_total: { type: 'counter', unit: 'bytes', labels: ['route'], help: 'Request body bytes' },
  gatehouse_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['route'],
    help: 'Time from the request head to the end of the response',
  },
  gatehouse_requests_broken_total: {
    type: 'counter',
    labels: ['route'],
    help: 'Requests that failed though the head of their response did not say so: it broke off, or the gRPC call ended with UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE or DATA_LOSS',
  },
  gatehouse_requests_total: {
    type: 'counter',
    labels: ['route', 'status'],
    help: 'Requests answered, by route and status; route "" is what no route took, or one that a reload removed meanwhile',
  },
  gatehouse_response_bytes_total: { type: 'counter', unit: 'bytes', labels: ['route'], help: 'Response body bytes' },
  gatehouse_transformed_bodies_total: {
    type: 'counter',
    labels: [],
    help: 'Request and response bodies that transforms changed',
  },
  gatehouse_unpacked_requests_total: { type: 'counter', labels: [], help: 'Request bodies that the gateway unpacked' },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
