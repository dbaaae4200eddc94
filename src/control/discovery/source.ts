/**
 * What a discovery source is: something that, once started, tells the whole list of instances of one service each
 * time it may have changed. Files, names and APIs are the sources' business; merging, debouncing and comparing are the
 * manager's. A source never throws: it reports a failure as a problem, and the last good list stays.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Timers } from '../../base/system-timers.ts';
import type { InstanceInput } from './instance.ts';
import type { Registry } from './registry/registry.ts';

export interface DiscoverySource {
  /**
   * Begins to look. `onInstances` gets the whole list, also when it is as before, and the first time as soon as
   * anything is known, be it that there are none. `onProblem` gets a sentence (lower case, no full stop, no secret)
   * when the last look failed, and null when it worked again. Called once.
   */
  start(onInstances: (instances: readonly InstanceInput[]) => void, onProblem: (problem: string | null) => void): void;
  /** Ends it at once; nothing is reported after that. May be called when `start` never was. */
  stop(): void;
}

/** What sources may use, handed in so that tests can hand in their own. */
export interface SourceEnvironment {
  readonly service: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** Where services register themselves; null when the configuration has no `registry`. */
  readonly registry: Registry | null;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface SourceDefinition<Settings> {
  /** As in the service key `discovery`. */
  readonly name: string;
  /** Takes nothing yet: sockets, files and timers begin with `start`. */
  create(settings: Settings, environment: SourceEnvironment): DiscoverySource;
}

/** Types one. */
export function defineSource<Settings>(definition: SourceDefinition<Settings>): SourceDefinition<Settings> {
  return definition;
}

/** One whose code is loaded when the first service has it. */
export function lazySource<Settings>(
  name: string,
  load: () => Promise<SourceDefinition<Settings>>,
): SourceDefinition<Settings> {
  return {
    name,
    create(settings, environment) {
      let source: DiscoverySource | undefined;
      let isStopped = false;
      return {
        start(onInstances, onProblem) {
          const begin = ({ create }: SourceDefinition<Settings>): void => {
            if (isStopped) return;
            source = create(settings, environment);
            source.start(onInstances, onProblem);
          };
          load().then(begin, (error: unknown) => onProblem(words(error)));
        },
        stop() {
          isStopped = true;
          source?.stop();
        },
      };
    },
  };
}

/** What went wrong, as a sentence; Node's code in brackets for searches. */
export function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
