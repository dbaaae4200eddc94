/** The cluster of gateways that this one belongs to. */
import type { MetricDefinition } from './definition.ts';

export const CLUSTER_METRICS = {
  gatehouse_cluster_epoch: {
    type: 'gauge',
    labels: [],
    help: 'Epoch of the queen while this node is it, else 0',
  },
  gatehouse_cluster_event_listeners: { type: 'gauge', labels: [], help: 'Clients that listen to events here' },
  gatehouse_cluster_facts_total: {
    type: 'counter',
    labels: ['direction'],
    help: 'Bans, purges, hints and registrations that this node sent to the others, or received',
  },
  gatehouse_cluster_facts_waiting: {
    type: 'gauge',
    labels: [],
    help: 'Bans, purges, hints and registrations that wait for the store of the cluster',
  },
  gatehouse_cluster_queen: { type: 'gauge', labels: [], help: '1 while this node is the queen of the cluster' },
  gatehouse_cluster_rollouts_total: {
    type: 'counter',
    labels: ['end', 'judged'],
    help: 'Rollouts that ended while this node was the queen; judged: no where there was too little traffic for it',
  },
  gatehouse_cluster_store_available: {
    type: 'gauge',
    labels: [],
    help: '1 while the last heartbeat reached the store',
  },
  gatehouse_cluster_version: {
    type: 'gauge',
    labels: [],
    help: 'Version of the cluster that this node runs; 0 is its own file',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
