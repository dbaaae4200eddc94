/**
 * Configurations that were live, newest last, with who changed them, when and why: what `gatehouse rollback`, the admin
 * API and the console go back to. Kept in the data folder as one file each, readable by the owner alone, since a
 * document may hold plain secrets. Bounded by number and bytes. Owner: live-configuration.ts.
 */
import { hash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Change } from './document-source.ts';

const MOST_REVISIONS = 50;
const MOST_BYTES = 32 * 1024 ** 2;
/** However large they are. */
const LEAST_REVISIONS = 3;

export interface Revision {
  /** From 1, over restarts. */
  readonly revision: number;
  /** When it went live, ISO 8601. */
  readonly at: string;
  readonly author: string;
  readonly reason: string;
  /** Of its text, or of what a program gave; the `ETag` of the admin API. */
  readonly hash: string;
  /** Where the document came from, for people. */
  readonly source: string;
  /** False for programs (TypeScript, JavaScript): their text alone is not the document. */
  readonly restorable: boolean;
  readonly bytes: number;
}

export interface RevisionText extends Revision {
  readonly text: string;
}

export function hashOf(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 32);
}

export class History {
  readonly #folder: string;
  readonly #log: Logger;
  #revisions: Revision[] = [];

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Reads what earlier processes left. A file that is damaged is left out, with a warning. */
  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const found: Revision[] = [];
    for (const name of await readdir(this.#folder)) {
      if (!/^\d{8}\.json$/.test(name)) continue;
      const entry = await this.#read(join(this.#folder, name));
      if (entry !== null) found.push(withoutText(entry));
    }
    this.#revisions = found.sort((a, b) => a.revision - b.revision);
  }

  /** Newest first. */
  list(): readonly Revision[] {
    return [...this.#revisions].reverse();
  }

  get latest(): Revision | undefined {
    return this.#revisions.at(-1);
  }

  async read(revision: number): Promise<RevisionText | null> {
    if (!this.#revisions.some((known) => known.revision === revision)) return null;
    return this.#read(this.#path(revision));
  }

  /**
   * Adds what has just gone live. The same again, as after a restart, is no new revision. A program (`restorable` is
   * false) has a hash of what it gave. A disk that refuses costs the history, never the configuration.
   */
  async record(
    text: string,
    change: Change,
    source: string,
    restorable = true,
    hash = hashOf(text),
  ): Promise<Revision> {
    const last = this.latest;
    if (last !== undefined && last.hash === hash && last.source === source) return last;
    const entry: RevisionText = {
      revision: (last?.revision ?? 0) + 1,
      at: new Date().toISOString(),
      ...change,
      hash,
      source,
      restorable,
      bytes: Buffer.byteLength(text),
      text,
    };
    this.#revisions.push(withoutText(entry));
    try {
      const path = this.#path(entry.revision);
      await writeFile(`${path}.new`, JSON.stringify(entry), { mode: 0o600 });
      await rename(`${path}.new`, path);
    } catch (error) {
      this.#log.warn('the configuration could not be added to the history', { reason: messageOf(error) });
    }
    await this.#trim();
    return withoutText(entry);
  }

  async #trim(): Promise<void> {
    let bytes = this.#revisions.reduce((sum, entry) => sum + entry.bytes, 0);
    while (
      this.#revisions.length > LEAST_REVISIONS &&
      (this.#revisions.length > MOST_REVISIONS || bytes > MOST_BYTES)
    ) {
      const oldest = this.#revisions.shift()!;
      bytes -= oldest.bytes;
      await rm(this.#path(oldest.revision), { force: true }).catch(() => {});
    }
  }

  #path(revision: number): string {
    return join(this.#folder, `${String(revision).padStart(8, '0')}.json`);
  }

  async #read(path: string): Promise<RevisionText | null> {
    try {
      const entry = JSON.parse(await readFile(path, 'utf8')) as RevisionText;
      const isWhole = typeof entry.text === 'string' && (!entry.restorable || hashOf(entry.text) === entry.hash);
      if (!isWhole) throw new Error('it is damaged');
      return entry;
    } catch (error) {
      this.#log.warn('a revision of the configuration cannot be read', { path, reason: messageOf(error) });
      return null;
    }
  }
}

function withoutText({ text: _, ...revision }: RevisionText): Revision {
  return revision;
}
