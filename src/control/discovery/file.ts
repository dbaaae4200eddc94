/**
 * The file source: a list of instances in a file, read again when it changes. The folder is watched, not the file, so
 * that a rename over it and the symbolic links of mounted ConfigMaps are seen; where the system tells nothing, a slow
 * poll does. A file that cannot be read or is wrong keeps the last good list and says what is the matter.
 */
import type { FSWatcher } from 'node:fs';
import { watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Cancel } from '../../base/system-timers.ts';
import type { InstanceInput } from './instance.ts';
import { readInstanceList } from './instance-list.ts';
import { defineSource, words } from './source.ts';

export interface FileSettings {
  /** Absolute. */
  readonly path: string;
  readonly pollIntervalMs: number;
}

/** A file that is written in place is read when it has been still for this long, not when it is half there. */
export const SETTLE_MS = 100;
const MAX_FILE_BYTES = 4 * 1024 ** 2;

export const fileSource = defineSource<FileSettings>({
  name: 'file',
  create(settings, { timers, log }) {
    let watcher: FSWatcher | undefined;
    let cancelPoll: Cancel = () => {};
    let cancelSettle: Cancel = () => {};
    let stopped = false;
    let tookAny = false;
    let taken: string | undefined;
    let last: readonly InstanceInput[] = [];

    return {
      start(onInstances, onProblem) {
        const take = (text: string): void => {
          tookAny = true;
          taken = text;
          const result = readInstanceList(text);
          if ('problem' in result) {
            onProblem(`${settings.path}: ${result.problem}${kept(last)}`);
            return;
          }
          last = result.instances;
          onProblem(null);
          onInstances(last);
        };
        /** `before` is the text seen a moment ago; only a text seen twice is taken, save the very first. */
        const look = async (before?: string): Promise<void> => {
          const text = await read(settings.path).catch((error: unknown) => {
            if (!stopped) onProblem(`${words(error)}${kept(last)}`);
            // If the same text comes back, its problem or the end of this one must be reported again.
            taken = undefined;
            return undefined;
          });
          if (stopped || text === undefined || text === taken) return;
          if (!tookAny || text === before) take(text);
          else settle(text);
        };
        const settle = (before?: string): void => {
          cancelSettle();
          cancelSettle = timers.after(SETTLE_MS, () => void look(before));
        };
        const poll = (): void => {
          cancelPoll = timers.after(settings.pollIntervalMs, () => {
            void look();
            poll();
          });
        };
        try {
          watcher = watch(dirname(settings.path), { persistent: false }, () => settle());
          watcher.on('error', (error) => log.debug('file watch ended, polling goes on', { reason: words(error) }));
        } catch (error) {
          log.debug('file cannot be watched, polling instead', { file: settings.path, reason: words(error) });
        }
        void look();
        poll();
      },
      stop() {
        stopped = true;
        watcher?.close();
        cancelPoll();
        cancelSettle();
      },
    };
  },
});

async function read(path: string): Promise<string> {
  const { size } = await stat(path);
  if (size > MAX_FILE_BYTES) throw new Error(`${path}: larger than ${MAX_FILE_BYTES} bytes`);
  return readFile(path, 'utf8');
}

function kept(instances: readonly InstanceInput[]): string {
  return instances.length === 0 ? '' : `; keeping the last list of ${instances.length}`;
}
