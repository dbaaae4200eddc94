/** What the cluster API gives, as types. The OpenAPI document of the gateway says the same; a test compares them. */
export interface ClusterNodeRecord {
  readonly id: string;
  readonly name: string;
  readonly kind: 'gateway' | 'worker';
  readonly url: string | null;
  readonly zone: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'active' | 'cordoned' | 'draining' | 'left';
  readonly state_reason: string | null;
  readonly state_by: string | null;
  readonly presence: 'alive' | 'suspect' | 'gone' | 'left';
  readonly is_queen: boolean;
  readonly joined_at: string;
  readonly seen_at: string;
  readonly starts: number;
  readonly software: string | null;
  readonly health: string;
  readonly load: Readonly<Record<string, number>>;
  readonly capacity: number;
  readonly applied_version: number;
  readonly wanted_version: number;
  readonly apply_problem: string | null;
}

export interface ClusterTask {
  readonly id: string;
  readonly kind: string;
  readonly payload: unknown;
  readonly selector: Readonly<Record<string, string>>;
  readonly affinity: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly state: 'queued' | 'assigned' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly node_id: string | null;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly timeout_ms: number;
  /** 0 to 1. */
  readonly progress: number;
  readonly result: unknown;
  readonly error: string | null;
  readonly created_by: string;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface ClusterEventRecord {
  readonly id: number;
  readonly at: string;
  readonly type: string;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly epoch: number | null;
}

export interface RolloutRecord {
  readonly id: string;
  readonly version: number;
  readonly from_version: number;
  readonly state: string;
  readonly state_at: string;
  /** Why it was rejected or rolled back, or is `done` without having been judged. */
  readonly reason: string | null;
  /** Was there traffic enough to compare it? Null before it was watched. */
  readonly judged: boolean | null;
  readonly canary: readonly string[];
  readonly wave: number;
  readonly created_by: string;
  readonly created_at: string;
}

export interface MadeJoinToken {
  readonly id: string;
  readonly token: string;
  readonly expires_at: string;
}

export interface JoinTokenRecord {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string | null;
  /** Null: as often as wanted until it expires. */
  readonly uses_left: number | null;
  readonly created_by: string;
  readonly created_at: string;
  readonly expires_at: string;
}

export interface VersionRecord {
  readonly version: number;
  readonly hash: string;
  readonly author: string;
  readonly reason: string;
  readonly created_at: string;
}

export interface VersionDifference {
  readonly version: number;
  /** 0: nothing, before the first version. */
  readonly from: number;
  /** Lines of the document: `+` is new, `-` is gone, a blank stands before those around them. */
  readonly lines: readonly string[];
}

export interface ClusterStatus {
  readonly name: string;
  readonly status: 'healthy' | 'degraded' | 'unhealthy';
  readonly queen: string | null;
  readonly epoch: number;
  /** The node that answered. */
  readonly node: string;
  readonly version: number;
  readonly nodes: Readonly<Record<string, number>>;
  readonly tasks: Readonly<Record<string, number>>;
  readonly rollout: RolloutRecord | null;
  readonly timestamp: string;
}

export interface MessageRecord {
  readonly id: number;
  readonly from: string;
  readonly topic: string;
  readonly body: unknown;
  readonly created_at: string;
  readonly deliveries: number;
}
