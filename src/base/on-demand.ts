/**
 * Modules of Node.js that many gateways do without, loaded at their first use: `node:tls` takes 2.7 MB in each thread,
 * and `import 'node:http'` 4.1 MB, since it reads all that the module offers: fetch, WebSocket, HTTP/2, web streams.
 * Loaded this way it is 0.6 MB.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

export const onDemand = {
  get http(): typeof import('node:http') {
    return process.getBuiltinModule('node:http');
  },
  get https(): typeof import('node:https') {
    return process.getBuiltinModule('node:https');
  },
  get tls(): typeof import('node:tls') {
    return process.getBuiltinModule('node:tls');
  },
};

export function isTls(socket: Socket): socket is TLSSocket {
  return (socket as TLSSocket).encrypted === true;
}
