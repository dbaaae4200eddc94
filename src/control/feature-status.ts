/** What a feature shows of itself in health, status and the console. */
import type { SourceReport } from './discovery/report.ts';
import type { ProbeReport } from './health/report.ts';

/** Something the gateway leans on: a store, Redis, the identity service. */
export interface Dependency {
  readonly name: string;
  readonly available: boolean;
  /** Without it the gateway is not ready. */
  readonly required: boolean;
  readonly detail?: Readonly<Record<string, string | number | boolean | null>>;
}

/** Something that is wrong now, for the console and scripts. */
export interface Trouble {
  readonly severity: 'error' | 'warning' | 'note';
  /** Such as `service orders`. */
  readonly subject: string;
  /** Lower case, no full stop. */
  readonly message: string;
}

/** What a feature shows of itself. All of it is plain data and holds no secret. */
export interface FeatureStatus {
  /** What probes found, by the id of the instance. */
  readonly probes?: ReadonlyMap<string, ProbeReport>;
  /** Where instances come from, by the name of the service. */
  readonly sources?: ReadonlyMap<string, readonly SourceReport[]>;
  /** What is wrong with what the feature does, or found out by it. */
  readonly troubles?: readonly Trouble[];
  /** Members of the status under `features`, such as `cluster`; shown as they are. */
  readonly sections?: Readonly<Record<string, unknown>>;
}

export interface ListeningAddress {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}
