/**
 * `gatehouse/cluster`: applications talk to a cluster, and workers join one.
 *
 *     import { clusterClient, joinCluster } from 'gatehouse/cluster';
 *     const cluster = clusterClient({ url: 'https://gateway.example', token: accessToken });
 *     const task = await cluster.createTask({ kind: 'count', payload: { text } });
 *     const done = await cluster.waitForTask(task.id);
 *
 *     const run = async (task) => count(task.payload);
 *     const worker = await joinCluster({ url, joinToken, name: 'w1', capacity: 4, run });
 *
 * Several URLs may be given: a call that reaches nobody goes to the next one. No dependencies; runs wherever `fetch`
 * is.
 */
export type { ClusterClient, NewRollout, NewTaskInput } from './client.ts';
export { clusterClient } from './client.ts';
export type {
  ClusterEventRecord,
  ClusterNodeRecord,
  ClusterStatus,
  ClusterTask,
  JoinTokenRecord,
  MadeJoinToken,
  RolloutRecord,
  VersionDifference,
  VersionRecord,
} from './records.ts';
export type { CallOptions } from './transport.ts';
export { ClusterCallError } from './transport.ts';
export type { ClusterWorker, JoinOptions, WorkerEvent, WorkerTask } from './worker.ts';
export { joinCluster } from './worker.ts';
