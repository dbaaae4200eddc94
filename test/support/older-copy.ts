/** A server that is put back to what it was: its data folder is copied while it is down, and takes its own place later. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Killable {
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface OlderCopy {
  /** Keeps what the server has now; it is down meanwhile. */
  save(): Promise<void>;
  /** On the same port, with what was saved. */
  restore(): Promise<void>;
}

/** `folder` gives what holds all of its data. */
export function olderCopy(server: () => Killable, folder: () => string | Promise<string>): OlderCopy {
  let copy: string | null = null;
  return {
    async save() {
      const data = await folder();
      await server().kill();
      copy = mkdtempSync(join(tmpdir(), 'gatehouse-copy-'));
      cpSync(data, copy, { recursive: true });
      await server().start();
    },
    async restore() {
      const data = await folder();
      await server().kill();
      rmSync(data, { recursive: true, force: true });
      cpSync(copy!, data, { recursive: true });
      rmSync(copy!, { recursive: true, force: true });
      await server().start();
    },
  };
}
