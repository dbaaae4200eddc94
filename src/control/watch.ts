/**
 * Tells when one of a set of files changes. Folders are watched rather than files, because editors and Kubernetes
 * replace a file (or a link on the way to it) instead of writing into it. A burst of events is one change, and other
 * files in a busy folder delay nothing. Events may be missing (network folders, files mounted one by one into a
 * container), so the files are also looked at every two seconds.
 */
import type { FSWatcher } from 'node:fs';
import { statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Logger } from '../base/log.ts';

const SETTLE_MS = 150;
/** A burst that never ends is looked at after this long. */
const LONGEST_SETTLE_MS = 1_000;
const LOOK_EVERY_MS = 2_000;

export class FileWatch {
  readonly #onChange: (file: string) => void;
  readonly #log: Logger;
  #watchers: FSWatcher[] = [];
  #known = new Map<string, string>();
  #timer: NodeJS.Timeout | null = null;
  #firstEventMs = 0;
  #looking: NodeJS.Timeout | null = null;

  /** `onChange` gets one of the files that changed. */
  constructor(onChange: (file: string) => void, log: Logger) {
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Watches these files from now on, instead of those before. A change between two calls is not lost. */
  set(files: readonly string[]): void {
    const before = this.#known;
    this.close();
    this.#known = new Map(files.map((file) => [file, before.get(file) ?? fingerprint(file)]));
    for (const folder of new Set(files.map((file) => dirname(file)))) this.#watchFolder(folder);
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#looking.unref();
  }

  /** A file that is about to be read: what changes from now on counts, also before `set`. */
  note(file: string): void {
    this.#known.set(file, fingerprint(file));
  }

  /** What the files hold now is known: writing it was our own doing. */
  accept(): void {
    for (const file of this.#known.keys()) this.#known.set(file, fingerprint(file));
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#timer = null;
    this.#looking = null;
    this.#known = new Map();
  }

  #watchFolder(folder: string): void {
    const names = new Set([...this.#known.keys()].filter((file) => dirname(file) === folder).map((f) => basename(f)));
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        // Kubernetes switches `..data`, a link beside the file. Other names are other files.
        if (name === null || names.has(name) || name.startsWith('..')) this.#settle();
      });
      watcher.on('error', (error) =>
        this.#log.warn('a folder cannot be watched any more; its files are looked at every two seconds', {
          folder,
          error: error.message,
        }),
      );
      this.#watchers.push(watcher);
    } catch (error) {
      this.#log.warn('a folder cannot be watched; its files are looked at every two seconds', {
        folder,
        error: String(error),
      });
    }
  }

  #settle(): void {
    const nowMs = performance.now();
    if (this.#timer === null) this.#firstEventMs = nowMs;
    else clearTimeout(this.#timer);
    const latest = this.#firstEventMs + LONGEST_SETTLE_MS - nowMs;
    this.#timer = setTimeout(() => this.#look(), Math.max(0, Math.min(SETTLE_MS, latest)));
    this.#timer.unref();
  }

  #look(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    let changed: string | undefined;
    for (const [file, known] of this.#known) {
      const now = fingerprint(file);
      if (now === known) continue;
      this.#known.set(file, now);
      changed ??= file;
    }
    if (changed !== undefined) this.#onChange(changed);
  }
}

function fingerprint(file: string): string {
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat === undefined ? '-' : `${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
  } catch (error) {
    // A folder on the way may be closed to us now and open again later.
    return (error as NodeJS.ErrnoException).code ?? '!';
  }
}
