/**
 * Where the account key, certificates with their keys, and answers to challenges are kept: the contract, and the one in
 * the data folder, which belongs to one gateway. storage-sql.ts keeps the same in a database for many.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface CertificateStorage {
  /** True: other gateways read and write it too. */
  readonly isShared: boolean;
  read(key: string): Promise<string | null>;
  write(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
  /** Everything whose key begins so. */
  list(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** False: another gateway is at it. Ends by itself after `ttlMs`. */
  lock(key: string, ttlMs: number): Promise<boolean>;
  unlock(key: string): Promise<void>;
  close(): Promise<void>;
}

/** Files of the data folder, readable by their owner alone. Keys are `account`, `certificate/NAME` and the like. */
export class FolderStorage implements CertificateStorage {
  readonly isShared = false;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(key: string): Promise<string | null> {
    try {
      return await readFile(this.#path(key), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async write(key: string, value: string): Promise<void> {
    await writePrivate(this.#folder, this.#path(key), value);
  }

  async remove(key: string): Promise<void> {
    await rm(this.#path(key), { force: true });
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const names = await readdir(this.#folder).catch(() => [] as string[]);
    for (const name of names) {
      const key = keyOf(name);
      if (!key.startsWith(prefix)) continue;
      const value = await this.read(key);
      if (value !== null) found.set(key, value);
    }
    return found;
  }

  /** One process has the data folder, so no agreement is needed. */
  async lock(): Promise<boolean> {
    return true;
  }

  async unlock(): Promise<void> {}

  async close(): Promise<void> {}

  #path(key: string): string {
    return join(this.#folder, `${encodeURIComponent(key)}.item`);
  }
}

function keyOf(file: string): string {
  return file.endsWith('.item') ? decodeURIComponent(file.slice(0, -'.item'.length)) : '';
}

/** Written whole or not at all, for the owner's eyes only. */
export async function writePrivate(folder: string, file: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}.new`;
  await writeFile(fresh, text, { mode: 0o600 });
  await rename(fresh, file);
}
