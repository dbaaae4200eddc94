/** What every job is given and what it hands back. */
import type { Absent } from '../lib/candidates.ts';
import type { CaseResult } from '../lib/suite.ts';
import type { Peer } from '../peers/peer.ts';
import type { IdleResult } from './idle.ts';

export interface Job {
  readonly peers: readonly Peer[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  readonly settleSeconds: number;
  readonly mostTries: number;
  readonly connections: number;
  /** Connections of the idle job. */
  readonly idleConnections: number;
  /** Whose ratio is 1; the job's own choice if absent. */
  readonly reference?: string;
  /** Only prove that answers are right: short, and with nothing that needs installing. */
  readonly smoke: boolean;
  /** The run's temporary folder. */
  readonly folder: string;
  readonly progress: (text: string) => void;
}

export interface JobResult {
  readonly cases: CaseResult[];
  readonly idle?: readonly IdleResult[];
  readonly absent: Absent[];
}
