/**
 * Where the registry keeps what must survive a restart. One whole document, because it is small (some thousand leases
 * at most) and one write is easier to get right than many. A lease's heartbeats are not kept: after a restart every
 * lease begins anew with a grace.
 */

/** One registered instance. Times of day, milliseconds since 1970. */
export interface StoredLease {
  readonly service: string;
  readonly id: string;
  readonly url: string;
  readonly weight: number;
  readonly zone: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly leaseMs: number;
  readonly registeredAtMs: number;
  /** Held back until then for flapping; 0 when it is not. */
  readonly heldUntilMs: number;
}

/** When an address came back after it had been there before. */
export interface StoredComebacks {
  readonly service: string;
  readonly url: string;
  readonly atMs: readonly number[];
}

export interface RegistryContent {
  readonly leases: readonly StoredLease[];
  readonly comebacks: readonly StoredComebacks[];
}

export interface RegistryStore {
  /** What was kept; null when nothing was ever. Rejects when there is something that cannot be read. */
  load(): Promise<RegistryContent | null>;
  /** Keeps what `content` gives, soon; calls that come close together are one write. Never throws. */
  save(content: () => RegistryContent): void;
  /** Waits until everything saved so far is on the disk. Rejects if the last write failed. */
  flush(): Promise<void>;
}

/** For tests and for gateways that need not remember. */
export function memoryStore(): RegistryStore {
  let latest: () => RegistryContent | null = () => null;
  return {
    load: async () => structuredClone(latest()),
    save: (content) => {
      latest = content;
    },
    flush: async () => {
      const kept = structuredClone(latest());
      latest = () => kept;
    },
  };
}
