/**
 * The old process's half of a takeover (takeover.ts): brings everything that it alone writes to rest, so that the new
 * process starts from what is on the disk, and either takes it back or goes. Requests are served all the while; only
 * those that would change what is at rest (registrations, the admin API) wait, and are then answered by the new
 * process. Owner: primary.ts.
 */
import { linkSync, readdirSync, renameSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import type { Feature } from './feature.ts';
import type { ListeningAddress } from './feature-status.ts';
import { Gate } from './gate.ts';
import type { LiveConfiguration } from './live-configuration.ts';
import type { Overrides } from './overrides.ts';
import type { Estate, Handing } from './takeover.ts';

/** Built-in services that write what a successor has read. */
const HELD: ReadonlySet<string> = new Set(['builtin:registry', 'builtin:admin']);
const KEPT_PREFIX = '.kept-';

export interface HandOverHost {
  readonly dataDir: string;
  readonly configuration: LiveConfiguration;
  readonly overrides: Overrides;
  readonly features: () => readonly Feature[];
  readonly addresses: () => readonly ListeningAddress[];
  readonly ticketKeys: () => string;
  /** Null, or why it cannot be now. */
  readonly whyNot: () => string | null;
  /** Ends this process's part; its successor serves. */
  readonly leave: () => void;
}

export class HandOver implements Handing {
  readonly #host: HandOverHost;
  readonly #gates: Gate[] = [];
  #state: 'mine' | 'held' | 'gone' = 'mine';
  /** In reverse order. */
  #undo: (() => void)[] = [];

  constructor(host: HandOverHost) {
    this.#host = host;
  }

  /** Another process serves in place of this one. */
  get isGone(): boolean {
    return this.#state === 'gone';
  }

  /** The listener of a built-in service, with a gate in front if it is one that must come to rest. */
  gated(name: string, path: string, listener: RequestListener): RequestListener {
    if (!HELD.has(name)) return listener;
    const gate = new Gate(listener, path);
    this.#gates.push(gate);
    return gate.listener;
  }

  async hold(): Promise<Estate> {
    const { configuration, overrides, features, dataDir, addresses, ticketKeys, whyNot } = this.#host;
    const reason = this.#state === 'mine' ? whyNot() : 'another process is taking over already';
    if (reason !== null) throw new Error(reason);
    this.#state = 'held';
    try {
      this.#undo.push(await configuration.pause());
      for (const gate of this.#gates) {
        await gate.hold();
        this.#undo.push(() => gate.open());
      }
      for (const feature of features()) {
        const undo = await feature.handOver?.();
        if (undo !== undefined) this.#undo.push(undo);
      }
      this.#undo.push(await overrides.handOver());
      this.#undo.push(keepSocketFiles(dataDir));
    } catch (error) {
      await this.takeBack();
      throw error;
    }
    return { protocol: 1, pid: process.pid, addresses: addresses(), ticketKeys: ticketKeys() };
  }

  async takeBack(): Promise<void> {
    if (this.#state !== 'held') return;
    const undo = this.#undo.reverse();
    this.#undo = [];
    this.#state = 'mine';
    for (const each of undo) each();
  }

  async leave(): Promise<void> {
    if (this.#state !== 'held') return;
    this.#state = 'gone';
    const { configuration, features, dataDir, leave } = this.#host;
    clearSocketFiles(dataDir);
    for (const gate of this.#gates) gate.forward();
    // The first of what is undone lets changes through again: from now on all are refused.
    const ended = configuration.end();
    this.#undo[0]?.();
    await ended;
    for (const feature of features()) await feature.replaced?.();
    leave();
  }
}

/**
 * A second name for each socket, so that it can have its first one again after a successor that did not succeed has
 * put its own there.
 */
function keepSocketFiles(dataDir: string): () => void {
  const names = readdirSync(dataDir).filter((name) => name.endsWith('.sock') && !name.startsWith('.'));
  const kept = (name: string): string => join(dataDir, `${KEPT_PREFIX}${name}`);
  clearSocketFiles(dataDir);
  for (const name of names) linkSync(join(dataDir, name), kept(name));
  return () => {
    for (const name of names) renameSync(kept(name), join(dataDir, name));
    // Renaming one name of a file to another name of it does nothing.
    clearSocketFiles(dataDir);
  };
}

/** Also of a process that was killed in the middle of it. */
export function clearSocketFiles(dataDir: string): void {
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith(KEPT_PREFIX)) rmSync(join(dataDir, name), { force: true });
  }
}
