/**
 * The registry's file: written behind, whole, to a name beside it, synchronised to the disk and renamed over the old
 * one, so that whatever happens there is a whole file. A write that fails is logged and tried again with the next
 * change.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../../base/log.ts';
import type { Timers } from '../../../base/system-timers.ts';
import { words } from '../source.ts';
import type { RegistryContent, RegistryStore } from './store.ts';

/** Changes that come within this time are one write. */
export const WRITE_BEHIND_MS = 200;

/** `path` must be in a folder that exists. */
export function fileStore(path: string, timers: Timers, log: Logger): RegistryStore {
  let pending: (() => RegistryContent) | undefined;
  let cancelTimer: (() => void) | undefined;
  /** Writes go one after the other; this is the end of the last one. Never rejects. */
  let writing: Promise<void> = Promise.resolve();
  let lastError: unknown;

  const write = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    writing = writing.then(async () => {
      const content = pending;
      if (content === undefined) return;
      pending = undefined;
      try {
        await writeWhole(path, JSON.stringify({ version: 1, ...content() }));
        lastError = undefined;
      } catch (error) {
        pending ??= content;
        lastError = error;
        log.error('the registry could not be written', { file: path, reason: words(error) });
      }
    });
    return writing;
  };

  return {
    async load() {
      let text: string;
      try {
        text = await readFile(path, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
      const { contentSchema } = await import('./file-content.ts');
      try {
        return contentSchema.parse(JSON.parse(text));
      } catch (error) {
        // Kept for diagnosis; the next write would overwrite it.
        await rename(path, `${path}.unreadable`);
        throw new Error(`${path} is not a registry file and was moved aside: ${words(error)}`);
      }
    },
    save(content) {
      pending = content;
      cancelTimer ??= timers.after(WRITE_BEHIND_MS, () => void write());
    },
    async flush() {
      await write();
      if (lastError !== undefined) throw lastError;
    },
  };
}

async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  // The rename itself is only on the disk when the folder is; Windows has no such call.
  if (process.platform !== 'win32') {
    const folder = await open(dirname(path));
    await folder.sync().finally(() => folder.close());
  }
}
