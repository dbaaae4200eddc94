/**
 * Writes blocks of whole lines to a file or to standard output, one after the other, without ever blocking the thread:
 * a stalled disk or pipe keeps one write waiting, and whoever gives blocks sees it by those that are not `done`. A file
 * is opened for appending (so that several threads can write to it) and anew on each `target`, so that a log that was
 * moved away is let go. Workers write the access log's file by it; blocks for standard output go through the main
 * thread, because a pipe takes a block of 64 KB in parts and two threads would mix their lines.
 */

import { write } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { messageOf } from './errors.ts';
import type { Logger } from './log.ts';

const STDOUT = 1;

interface Block {
  readonly lines: Uint8Array;
  readonly done: () => void;
}

export class BlockWriter {
  readonly #log: Logger;
  #file: FileHandle | null = null;
  #path: string | null = null;
  #toStdout = false;
  readonly #queue: Block[] = [];
  #writing = false;
  #failing = false;
  #idle: (() => void)[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Chooses where to write; also opens the same file anew, so that a rotated log is let go. Rejects when it cannot. */
  async target(accessLog: 'off' | 'stdout' | { readonly file: string }): Promise<void> {
    const path = typeof accessLog === 'object' ? accessLog.file : null;
    const file = path === null ? null : await open(path, 'a', 0o640);
    await this.idle();
    await this.#file?.close();
    this.#file = file;
    this.#path = path;
    this.#toStdout = accessLog === 'stdout';
  }

  write(lines: Uint8Array, done: () => void): void {
    this.#queue.push({ lines, done });
    if (!this.#writing) this.#next();
  }

  /** Resolves when everything given so far is written or given up. */
  idle(): Promise<void> {
    if (!this.#writing && this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async close(): Promise<void> {
    await this.idle();
    await this.#file?.close();
    this.#file = null;
  }

  #next(): void {
    const block = this.#queue.shift();
    if (block === undefined) {
      this.#writing = false;
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    this.#writing = true;
    const fd = this.#file?.fd ?? (this.#toStdout ? STDOUT : -1);
    if (fd < 0) this.#finish(block);
    else this.#writeFrom(fd, block, 0);
  }

  #writeFrom(fd: number, block: Block, from: number): void {
    write(fd, block.lines, from, block.lines.length - from, null, (error, written) => {
      if (error !== null && error.code === 'EAGAIN') {
        setTimeout(() => this.#writeFrom(fd, block, from), 10);
        return;
      }
      if (error !== null) {
        if (!this.#failing)
          this.#log.error('the access log cannot be written, lines are lost', {
            file: this.#path ?? 'stdout',
            error: messageOf(error),
          });
        this.#failing = true;
      } else if (from + written < block.lines.length) {
        this.#writeFrom(fd, block, from + written);
        return;
      } else if (this.#failing) {
        this.#failing = false;
        this.#log.info('the access log is written again', { file: this.#path ?? 'stdout' });
      }
      this.#finish(block);
    });
  }

  #finish(block: Block): void {
    block.done();
    this.#next();
  }
}
