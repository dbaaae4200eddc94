/**
 * Rotation of a log file: moves it away by size or age, keeps so many, and has the writer open it anew. Lines on their
 * way land in the file that was moved: none is lost.
 */
import { readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export interface RotationPlan {
  readonly maxBytes: number | null;
  readonly everyMs: number | null;
  readonly keep: number;
}

const LOOK_EVERY_MS = 1_000;

export class FileRotation {
  readonly #log: Logger;
  /** What kind of log it is, for messages. */
  readonly #what: string;
  readonly #reopen: () => void;
  readonly #nowMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  /** When this process first knew of the file. */
  #knownMs: number;
  /** When it was last seen empty. */
  #emptyMs = 0;
  #file: string | undefined;
  #plan: RotationPlan | null = null;
  #isLooking = false;

  constructor(log: Logger, what: string, reopen: () => void, nowMs: () => number = Date.now) {
    this.#log = log;
    this.#what = what;
    this.#reopen = reopen;
    this.#nowMs = nowMs;
    this.#knownMs = nowMs();
  }

  /** Without a file or a plan nothing is rotated. */
  use(file: string | undefined, plan: RotationPlan | null): void {
    if (file !== this.#file) {
      this.#knownMs = this.#nowMs();
      this.#emptyMs = 0;
    }
    this.#file = file;
    this.#plan = plan;
    clearInterval(this.#timer);
    const isNeeded = file !== undefined && plan !== null;
    this.#timer = isNeeded ? setInterval(() => void this.look(), LOOK_EVERY_MS).unref() : undefined;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Once a second. */
  async look(): Promise<void> {
    const file = this.#file;
    const plan = this.#plan;
    if (file === undefined || plan === null || this.#isLooking) return;
    this.#isLooking = true;
    try {
      const { size: bytes, birthtimeMs } = await stat(file);
      if (bytes === 0) this.#emptyMs = this.#nowMs();
      const isLarge = plan.maxBytes !== null && bytes >= plan.maxBytes;
      const isOld = plan.everyMs !== null && this.#nowMs() - this.#begunMs(birthtimeMs) >= plan.everyMs;
      if (bytes > 0 && (isLarge || isOld)) await this.#rotate(file, plan.keep);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.error(`the ${this.#what} could not be rotated`, { file, problem: messageOf(error) });
    } finally {
      this.#isLooking = false;
    }
  }

  /**
   * When its first line was written, as far as the system knows, so that restarts do not begin the time anew. File
   * systems without a time of birth say 1970, or the last change.
   */
  #begunMs(birthtimeMs: number): number {
    const bornMs = birthtimeMs > 0 ? Math.min(birthtimeMs, this.#knownMs) : this.#knownMs;
    return Math.max(bornMs, this.#emptyMs);
  }

  async #rotate(file: string, keep: number): Promise<void> {
    const stamp = new Date().toISOString().replace(/[-:]/g, '').replace('.', '');
    await rename(file, `${file}.${stamp}`);
    this.#knownMs = this.#nowMs();
    this.#emptyMs = this.#knownMs;
    this.#reopen();
    const prefix = `${basename(file)}.`;
    const moved = (await readdir(dirname(file)))
      .filter((name) => name.startsWith(prefix) && /^\d{8}T\d+Z$/.test(name.slice(prefix.length)))
      .sort();
    for (const name of moved.slice(0, -keep)) await unlink(join(dirname(file), name));
  }
}
