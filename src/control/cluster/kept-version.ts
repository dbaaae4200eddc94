/**
 * The version of the cluster's configuration that worked last, in a file of the data folder. Written whole beside the
 * old one and renamed; a file that cannot be read, or whose hash is wrong, is as good as none and said in the log.
 */
import { hash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Version } from './rollout.ts';

const contentSchema = z.object({ version: z.int().min(1), hash: z.string(), document: z.string() });
export type KeptContent = z.output<typeof contentSchema>;

export class KeptVersion {
  readonly #path: string;
  readonly #log: Logger;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  async read(): Promise<KeptContent | null> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#unreadable(error);
      return null;
    }
    try {
      const content = contentSchema.parse(JSON.parse(text));
      if (hash('sha256', content.document, 'hex') !== content.hash)
        throw new Error('its hash does not fit its content');
      return content;
    } catch (error) {
      this.#unreadable(error);
      return null;
    }
  }

  /** Null: the node runs by its own file again. A failure is said and costs nothing but the copy. */
  async write(version: Version | null): Promise<void> {
    try {
      if (version === null) {
        await rm(this.#path, { force: true });
        return;
      }
      const { hash, document } = version;
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      const beside = `${this.#path}.new`;
      const file = await open(beside, 'w', 0o600);
      try {
        await file.writeFile(JSON.stringify({ version: version.version, hash, document }));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(beside, this.#path);
    } catch (error) {
      this.#log.error('the configuration of the cluster could not be kept on disk', { reason: messageOf(error) });
    }
  }

  #unreadable(error: unknown): void {
    this.#log.error('the kept configuration of the cluster cannot be read', {
      file: this.#path,
      reason: messageOf(error),
    });
  }
}
