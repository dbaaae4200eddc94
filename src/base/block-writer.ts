/**
 * Writes blocks of whole lines to a file or to standard output, one after the other, without ever blocking the thread:
 * a stalled disk or pipe keeps one write waiting, and callers notice because `done` is not called. A file
 * is opened for appending (so that several threads can write to it) and anew on each `target`, so that a log that was
 * moved away is released. Nothing waits for a write that stalls: a new target starts beside the rest of the old one,
 * and `close` gives up soon. Workers write the access log's file by it; blocks for standard output go through the main
 * thread, because a pipe takes a block of 64 KB in parts and two threads would mix their lines.
 */

import { constants, write } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { messageOf } from './errors.ts';
import type { Logger } from './log.ts';

const STDOUT = 1;
/** How long an end waits for a log that is not read. */
const LAST_WAIT_MS = 500;
const MOST_LAST_WAITS = 6;
const AGAIN_MS = 10;
const LINE_FEED = Buffer.from('\n');

type AccessLogTarget = 'off' | 'stdout' | { readonly file: string };

/** Called when a block is written or given up; `lost` of its lines are not in the log, as on a full disk. */
export type BlockDone = (lost: number) => void;

interface Block {
  readonly lines: Uint8Array;
  readonly done: BlockDone;
}

export class BlockWriter {
  readonly #log: Logger;
  #sink: Sink;

  constructor(log: Logger) {
    this.#log = log;
    this.#sink = new Sink(log, null, 'nowhere', -1);
  }

  /**
   * Chooses where to write; also opens the same file anew, so that a rotated log is released. Rejects when it cannot.
   */
  async target(accessLog: AccessLogTarget): Promise<void> {
    const path = typeof accessLog === 'object' ? accessLog.file : null;
    const file = path === null ? null : await openLog(path);
    const before = this.#sink;
    this.#sink = new Sink(this.#log, file, path ?? 'stdout', file?.fd ?? (accessLog === 'stdout' ? STDOUT : -1));
    void before.close();
  }

  write(lines: Uint8Array, done: BlockDone): void {
    this.#sink.write(lines, done);
  }

  /** Resolves when everything given so far is written or given up. */
  idle(): Promise<void> {
    return this.#sink.idle();
  }

  /** Waits for the rest as long as it is taken, but not for a reader that does not read. */
  async close(): Promise<void> {
    const sink = this.#sink;
    const closed = sink.close().then(() => true);
    for (let tries = 0; tries < MOST_LAST_WAITS; tries++) {
      const before = sink.written;
      const waited = new Promise<false>((resolve) => setTimeout(resolve, LAST_WAIT_MS, false));
      if ((await Promise.race([closed, waited])) || sink.written === before) return;
    }
  }
}

/** A pipe without a reader must delay neither this nor, later, a thread that writes to it. */
async function openLog(path: string): Promise<FileHandle> {
  const { O_APPEND, O_CREAT, O_RDWR, O_WRONLY } = constants;
  const O_NONBLOCK = constants.O_NONBLOCK ?? 0;
  try {
    return await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o640);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
    return await open(path, O_RDWR | O_NONBLOCK);
  }
}

/** One place that is written to, with what waits for it. */
class Sink {
  readonly #log: Logger;
  readonly #file: FileHandle | null;
  readonly #name: string;
  /** Below 0: nowhere. */
  readonly #fd: number;
  /** Bytes. */
  written = 0;
  readonly #queue: Block[] = [];
  #writing = false;
  #failing = false;
  /** What was written last ends in the middle of a line, which the next one must not go on. */
  #isTorn = false;
  #idle: (() => void)[] = [];

  constructor(log: Logger, file: FileHandle | null, name: string, fd: number) {
    this.#log = log;
    this.#file = file;
    this.#name = name;
    this.#fd = fd;
  }

  write(lines: Uint8Array, done: BlockDone): void {
    this.#queue.push({ lines, done });
    if (!this.#writing) this.#next();
  }

  idle(): Promise<void> {
    if (!this.#writing && this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async close(): Promise<void> {
    await this.idle();
    await this.#file?.close();
  }

  #next(): void {
    const block = this.#queue.shift();
    if (block === undefined) {
      this.#writing = false;
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    this.#writing = true;
    if (this.#fd < 0) this.#finish(block, 0);
    else if (this.#isTorn) this.#writeFrom(block, Buffer.concat([LINE_FEED, block.lines]), 0);
    else this.#writeFrom(block, block.lines, 0);
  }

  #writeFrom(block: Block, lines: Uint8Array, from: number): void {
    write(this.#fd, lines, from, lines.length - from, null, (error, written) => {
      if (error !== null && error.code === 'EAGAIN') {
        setTimeout(() => this.#writeFrom(block, lines, from), AGAIN_MS).unref();
        return;
      }
      if (error === null) this.written += written;
      if (error !== null) {
        if (!this.#failing)
          this.#log.error('the access log cannot be written, lines are lost', {
            file: this.#name,
            error: messageOf(error),
          });
        this.#failing = true;
        if (from > 0) this.#isTorn = lines[from - 1] !== LINE_FEED[0];
        this.#finish(block, linesIn(lines, from));
        return;
      }
      this.#isTorn = false;
      if (from + written < lines.length) {
        this.#writeFrom(block, lines, from + written);
        return;
      }
      if (this.#failing) {
        this.#failing = false;
        this.#log.info('the access log is written again', { file: this.#name });
      }
      this.#finish(block, 0);
    });
  }

  #finish(block: Block, lost: number): void {
    block.done(lost);
    this.#next();
  }
}

/** That end in what is left, the one that was cut in two included, unless only its end is missing. */
function linesIn(bytes: Uint8Array, from: number): number {
  let lines = from > 0 && bytes[from - 1] !== LINE_FEED[0] && bytes[from] === LINE_FEED[0] ? -1 : 0;
  for (let at = bytes.indexOf(LINE_FEED[0]!, from); at >= 0; at = bytes.indexOf(LINE_FEED[0]!, at + 1)) lines++;
  return lines;
}
