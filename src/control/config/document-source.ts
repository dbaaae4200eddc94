/**
 * Where the configuration document comes from: a file, a value of the embedding program, later a cluster. A source
 * says how the document is loaded, when there may be another one and who changed it, and writes it where that is
 * possible. What a document means is the same for all of them (load.ts, compile.ts); live-configuration.ts is the only
 * caller.
 */
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { FileWatch } from '../watch.ts';
import { type LoadOrder, orderOf } from './build-order.ts';
import { fileKind } from './files.ts';
import type { LoadOptions } from './load.ts';

/** Who wants another document, and why. Shown in the log, the history and the console. */
export interface Change {
  readonly author: string;
  readonly reason: string;
}

export interface DocumentSource {
  /** Shown to people: a path, or `the program`. */
  readonly name: string;
  /** Loads what it holds now. */
  order(): LoadOrder;
  /** Loads a text as if the source had it; nothing is written. */
  orderFor(text: string): LoadOrder;
  /**
   * Tells when there may be another document. `files` are those that the live one is made of besides. Called again
   * after each change that went live; the call replaces the one before.
   */
  watch(files: readonly string[], changed: (change: Change) => void): void;
  /** Null where `write` works; else why it does not, lower case and without a full stop. */
  readonly whyReadOnly: string | null;
  /** Replaces the document with one that was checked. The caller publishes it. */
  write(text: string): Promise<void>;
  /** Stops watching; `watch` begins again. */
  close(): void;
}

const NOT_A_TEXT = 'a TypeScript or JavaScript configuration is a program: change its file';

/** A file on disk, watched; the text is replaced at once, so that no reader gets half of it. */
class FileSource implements DocumentSource {
  readonly name: string;
  readonly whyReadOnly: string | null;
  readonly #options: LoadOptions;
  readonly #path: string;
  readonly #log: Logger;
  readonly #watch: FileWatch;
  #changed: (change: Change) => void = () => {};

  constructor(options: LoadOptions & { readonly file: string }, log: Logger) {
    this.#options = options;
    this.#path = resolve(options.cwd ?? process.cwd(), options.file);
    this.name = options.file;
    this.#log = log;
    this.#watch = new FileWatch((changed) => {
      this.#changed({ author: 'file', reason: `${basename(changed)} changed` });
    }, log);
    this.whyReadOnly = fileKind(this.#path) === 'module' ? NOT_A_TEXT : null;
  }

  order(): LoadOrder {
    this.#watch.note(this.#path);
    return orderOf(this.#options, null);
  }

  orderFor(text: string): LoadOrder {
    return orderOf(this.#options, text);
  }

  watch(files: readonly string[], changed: (change: Change) => void): void {
    this.#changed = changed;
    this.#watch.set([this.#path, ...files]);
  }

  async write(text: string): Promise<void> {
    if (this.whyReadOnly !== null) throw new Error(this.whyReadOnly);
    // A link stays one: what it leads to is replaced, where others look for it too.
    const path = await realpath(this.#path).catch(() => this.#path);
    const now = await readFile(path, 'utf8').catch(() => null);
    if (now === text) return;
    const mode = (await stat(path).catch(() => null))?.mode ?? 0o600;
    const beside = `${path}.${process.pid}.new`;
    try {
      await writeAll(beside, text, 'w', mode);
      await rename(beside, path);
    } catch (error) {
      await rm(beside, { force: true }).catch(() => {});
      // A single file that is mounted into a container cannot be renamed over, but it can be written to.
      this.#log.debug('the configuration file is written in place', { reason: messageOf(error) });
      await writeAll(path, text, 'r+', mode);
    }
    this.#watch.accept();
  }

  close(): void {
    this.#watch.close();
  }
}

async function writeAll(path: string, text: string, flags: string, mode: number): Promise<void> {
  const handle = await open(path, flags, mode);
  try {
    await handle.truncate(0);
    // As it was, whatever the umask of this process.
    if (flags === 'w') await handle.chmod(mode & 0o7777);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A document that the embedding program handed in. A written one lives until the process ends. */
class ValueSource implements DocumentSource {
  readonly name = 'the program';
  readonly whyReadOnly = null;
  readonly #options: LoadOptions;
  #written: string | null = null;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  order(): LoadOrder {
    return orderOf(this.#options, this.#written);
  }

  orderFor(text: string): LoadOrder {
    return orderOf(this.#options, text);
  }

  /** A value cannot change by itself; the files that it names can. */
  watch(): void {}

  async write(text: string): Promise<void> {
    this.#written = text;
  }

  close(): void {}
}

export function documentSource(options: LoadOptions, log: Logger): DocumentSource {
  return options.file === undefined
    ? new ValueSource(options)
    : new FileSource({ ...options, file: options.file }, log);
}
