/**
 * Facts: what the nodes of a cluster tell each other besides configuration and tasks, by topic and key: a ban, a purge,
 * a hint, a registered instance. A feature tells and listens here and need not know whether there is a cluster; the
 * cluster carries them (cluster/fact-board.ts). Without one, facts go nowhere and none arrive. Owner: primary.ts.
 */
export interface Fact {
  readonly key: string;
  /** JSON data. Written by another process, maybe of another version: check it. */
  readonly value: unknown;
  /** Time since it was sent, by the clock of the store: clocks of nodes may differ. */
  readonly ageMs: number;
  /** Name of the node that sent it. */
  readonly node: string;
}

export interface FactListener {
  /** A fact that is new here, or has a new value. Must not throw. Never a fact of this process. */
  learn(fact: Fact): void;
  /** All that is there has been learnt, for the first time or after the store was away. */
  caughtUp?(): void;
  /** Facts may have come and gone unseen: this process was away for too long, or the store was made anew. */
  missed?(): void;
}

export interface FactCarrier {
  tell(topic: string, key: string, value: unknown, keptMs: number): Promise<boolean>;
  /** Delivers all that holds of a topic, to one who begins to listen late. */
  replay(topic: string): void;
  /** Reads all that is new. False when the store could not be read soon. */
  catchUp(): Promise<boolean>;
  /** Told here, and not written yet. */
  isWaiting(topic: string, key: string): boolean;
  /** When (monotonic) the last reading of everything began; null while the store is away. */
  readonly readMs: number | null;
}

/** Facts are kept at least so long, so that who is away for less misses nothing. */
export const LEAST_KEPT_MS = 600_000;

export class Facts {
  readonly #listeners = new Map<string, FactListener>();
  #carrier: FactCarrier | null = null;
  #isExpected = false;

  /** True where the configuration names a cluster, though its store may not have been reached yet. */
  get isInCluster(): boolean {
    return this.#isExpected || this.#carrier !== null;
  }

  /** True while this process is in a cluster. */
  get areShared(): boolean {
    return this.#carrier !== null;
  }

  /** One listener a topic. */
  hear(topic: string, listener: FactListener): void {
    this.#listeners.set(topic, listener);
    this.#carrier?.replay(topic);
  }

  /**
   * True once the store of the cluster has it. False when there is no cluster, or the store is away for longer than a
   * moment: the others get it when the store is back. A later value of the same key replaces the earlier one.
   */
  async tell(topic: string, key: string, value: unknown, keptMs: number): Promise<boolean> {
    return (await this.#carrier?.tell(topic, key, value, keptMs)) ?? false;
  }

  /**
   * All that the others sent up to this moment (monotonic) is known here. Null: the store is away, or was not reached
   * yet.
   */
  get knownMs(): number | null {
    return this.#carrier?.readMs ?? null;
  }

  /** Learns all that the others have sent by now. False without a cluster, and when its store cannot be read soon. */
  async catchUp(): Promise<boolean> {
    return (await this.#carrier?.catchUp()) ?? false;
  }

  /** True while what was sent here last waits for the store: it will replace what others sent. */
  isWaiting(topic: string, key: string): boolean {
    return this.#carrier?.isWaiting(topic, key) ?? false;
  }

  // --- for the carrier -----------------------------------------------------------------------------------------------

  /** A carrier will be there as soon as it reaches its store. */
  expectCarrier(): void {
    this.#isExpected = true;
  }

  carryBy(carrier: FactCarrier | null): void {
    this.#carrier = carrier;
  }

  deliver(topic: string, fact: Fact): void {
    this.#listeners.get(topic)?.learn(fact);
  }

  caughtUp(): void {
    for (const listener of this.#listeners.values()) listener.caughtUp?.();
  }

  missed(): void {
    for (const listener of this.#listeners.values()) listener.missed?.();
  }
}
