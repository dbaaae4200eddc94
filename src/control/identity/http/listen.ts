/**
 * Binding the service's server: to host and port, or to a Unix socket (a named pipe on Windows) that only its owner may
 * open. A socket file that nobody serves any more is removed; one that is served stops the start.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';

export type Where = string | { readonly host: string; readonly port: number };

const isPipe = (path: string): boolean => path.startsWith('\\\\');

/** Returns the port; 0 for a socket. */
export async function listenOn(server: Server, where: Where): Promise<number> {
  if (typeof where === 'string' && !isPipe(where)) {
    mkdirSync(dirname(where), { recursive: true, mode: 0o700 });
    if (await answers(where)) throw new Error(`another identity service runs on ${where}`);
    rmSync(where, { force: true });
  }
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    if (typeof where === 'string') server.listen(where, done);
    else server.listen(where.port, where.host, done);
  });
  if (typeof where === 'string' && !isPipe(where)) chmodSync(where, 0o600);
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Lets running requests finish for five seconds, then cuts them off. */
export async function closeServer(server: Server): Promise<void> {
  server.closeIdleConnections();
  await new Promise<void>((done) => {
    const hard = setTimeout(() => server.closeAllConnections(), 5_000);
    server.close(() => {
      clearTimeout(hard);
      done();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
