/**
 * The file of a Unix socket that a server of the control plane listens on. It is bound beside its name and then renamed
 * to it, so that there is always one whole socket under the name while a process takes over from another, and so that
 * the former owner, which removes its file when it ends, does not remove that of its successor. On Windows these are
 * named pipes: no files, and nothing to take over.
 */
import { chmodSync, mkdirSync, renameSync, statSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:net';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';

/** Connections that may wait to be accepted: with Node's 511 many WebSockets that come at once would be refused. */
const BACKLOG = 4_096;

let bound = 0;

export interface SocketFileOptions {
  /** Who is named when another process answers there. */
  readonly owner: string;
  /** The other process that answers there is being replaced. */
  readonly replaces: boolean;
}

/**
 * Makes the server listen at the path, for the owner alone. Rejects when another process answers there; a file without
 * a server is replaced. The result removes the file, if it is still this server's.
 */
export async function listenOnSocket(server: Server, path: string, options: SocketFileOptions): Promise<() => void> {
  if (isPipe(path)) {
    await listen(server, path);
    return () => {};
  }
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!options.replaces && (await answers(path))) throw new Error(`another ${options.owner} is running with ${path}`);
  // Shorter than any name it is renamed to, because paths of sockets are short.
  const beside = join(folder, `.${process.pid.toString(36)}-${threadId}-${bound++}`);
  await listen(server, beside);
  // Every user who may open the folder could connect otherwise.
  chmodSync(beside, 0o600);
  const { ino } = statSync(beside);
  renameSync(beside, path);
  return () => {
    if (statSync(path, { throwIfNoEntry: false })?.ino === ino) unlinkSync(path);
  };
}

function isPipe(path: string): boolean {
  return path.startsWith('\\\\');
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
