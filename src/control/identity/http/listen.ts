/**
 * Binding the service's server: to host and port, or to a Unix socket (a named pipe on Windows) that only its owner may
 * open, where another service that answers stops the start unless it is being replaced.
 */
import type { Server } from 'node:http';
import { listenOnSocket } from '../../socket-file.ts';

export type Where = string | { readonly host: string; readonly port: number };

/** The port; 0 for a socket, whose file `removeFile` removes if it is still this server's. */
export interface Listening {
  readonly port: number;
  readonly removeFile: () => void;
}

export async function listenOn(server: Server, where: Where, replaces: boolean): Promise<Listening> {
  if (typeof where === 'string')
    return { port: 0, removeFile: await listenOnSocket(server, where, { owner: 'identity service', replaces }) };
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(where.port, where.host, done);
  });
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, removeFile: () => {} };
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
