/**
 * Tells when one of a set of files changes. Folders are watched rather than files, because editors and Kubernetes
 * replace a file (or a link on the way to it) instead of writing into it; a burst of events is one change.
 */
import type { FSWatcher } from 'node:fs';
import { statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '../base/log.ts';

const SETTLE_MS = 150;

export class FileWatch {
  readonly #onChange: () => void;
  readonly #log: Logger;
  #watchers: FSWatcher[] = [];
  #files: readonly string[] = [];
  #known = '';
  #timer: NodeJS.Timeout | null = null;

  constructor(onChange: () => void, log: Logger) {
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Watches these files from now on, instead of those before. */
  set(files: readonly string[]): void {
    this.close();
    this.#files = files;
    this.#known = this.#fingerprint();
    for (const folder of new Set(files.map((file) => dirname(file)))) {
      try {
        const watcher = watch(folder, { persistent: false }, () => this.#settle());
        watcher.on('error', (error) =>
          this.#log.warn('a folder cannot be watched any more', { folder, error: error.message }),
        );
        this.#watchers.push(watcher);
      } catch (error) {
        this.#log.warn('a folder cannot be watched, so changes need a reload by hand', {
          folder,
          error: String(error),
        });
      }
    }
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #settle(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const now = this.#fingerprint();
      if (now === this.#known) return;
      this.#known = now;
      this.#onChange();
    }, SETTLE_MS);
    this.#timer.unref();
  }

  #fingerprint(): string {
    return this.#files
      .map((file) => {
        const stat = statSync(file, { throwIfNoEntry: false });
        return stat === undefined ? '-' : `${stat.ino}:${stat.size}:${stat.mtimeMs}`;
      })
      .join(' ');
  }
}
