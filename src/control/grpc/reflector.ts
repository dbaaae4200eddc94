/**
 * What one service offers, asked again and again (offered.ts): the first instance that answers says it. What
 * was learned stays until something else is; a service that is away, or says something that cannot be used, is asked
 * again after a growing pause. Owner: the main thread.
 */
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import type { ReflectionSettings, TranscodeApi } from '../../data/contract/transcode.ts';
import { type Instance, offeredBy } from './offered.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export interface ReflectorParts {
  readonly timers: Timers;
  readonly log: Logger;
  /** Sends to the workers what the service offers. */
  publish(topic: string, api: TranscodeApi): void;
}

export class Reflector {
  readonly settings: ReflectionSettings;
  /** Null while all is well. */
  problem: string | null = 'it was not asked yet';
  methods = 0;
  failures = 0;
  readonly #parts: ReflectorParts;
  #instances: readonly Instance[] = [];
  #reported = '';
  #isAsking = false;
  #isStopped = false;
  #cancel: Cancel = () => {};
  #onFirst: () => void = () => {};
  /** Resolves when something is known for the first time. */
  readonly first: Promise<void>;

  constructor(settings: ReflectionSettings, parts: ReflectorParts) {
    this.settings = settings;
    this.#parts = parts;
    this.first = new Promise((resolve) => {
      this.#onFirst = resolve;
    });
  }

  /** The instances of now; others than before are asked at once if nothing is known. */
  use(instances: readonly Instance[]): void {
    const isNew = instances.map(({ url }) => url).join(' ') !== this.#instances.map(({ url }) => url).join(' ');
    this.#instances = instances;
    if (isNew && this.problem !== null) void this.#ask();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  async #ask(): Promise<void> {
    if (this.#isAsking || this.#isStopped) return;
    this.#isAsking = true;
    this.#cancel();
    const problem = await this.#askAll();
    this.#isAsking = false;
    if (this.#isStopped) return;
    const { service, refreshMs } = this.settings;
    if (problem === null) {
      if (this.failures > 0) this.#parts.log.info('a service says again what it offers', { service });
      this.failures = 0;
    } else {
      this.failures++;
      // Once for each reason; how long it lasts stands in the metric and in `gatehouse status`.
      if (problem !== this.problem)
        this.#parts.log.error('a service does not say what it offers (reflection)', {
          service,
          problem,
          kept: this.methods > 0 ? `${this.methods} methods as they were` : 'nothing: its route answers 503',
        });
    }
    this.problem = problem;
    const pauseMs =
      problem === null ? refreshMs : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.failures - 1));
    this.#cancel = this.#parts.timers.after(Math.min(pauseMs, refreshMs), () => void this.#ask());
  }

  /** Null, or what is wrong with the last instance that was asked. */
  async #askAll(): Promise<string | null> {
    const found = await offeredBy(this.settings, this.#instances);
    if ('problem' in found) return found.problem;
    this.#take(found.api);
    return null;
  }

  #take(api: TranscodeApi): void {
    const { service, topic } = this.settings;
    const text = JSON.stringify(api);
    if (text === this.#reported || this.#isStopped) return;
    const isFirst = this.#reported === '';
    this.#reported = text;
    this.methods = new Set(api.bindings.map(({ rpc }) => rpc)).size;
    this.#parts.publish(topic, api);
    this.#parts.log.info(isFirst ? 'a service said what it offers' : 'a service offers something else now', {
      service,
      methods: this.methods,
    });
    this.#onFirst();
  }
}
