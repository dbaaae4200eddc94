/** TCP probes: an accepted connection is a good answer. Nothing is sent, and the connection is closed at once. */
import net from 'node:net';
import type { Probe } from './probe.ts';
import { bad, good, socketFault } from './probe.ts';

export const tcpProbe: Probe = {
  run(address, _check, signal) {
    return new Promise((resolve) => {
      const socket =
        address.socketPath === null
          ? net.connect({ host: address.host, port: address.port })
          : net.connect({ path: address.socketPath });
      const giveUp = (): void => {
        resolve(bad('given up'));
        socket.destroy();
      };
      signal.addEventListener('abort', giveUp, { once: true });
      socket.on('connect', () => {
        resolve(good());
        // A reset instead of a close would fill the logs of some services.
        socket.end();
        socket.resume();
      });
      socket.on('error', (error) => resolve(socketFault(error)));
      socket.on('close', () => signal.removeEventListener('abort', giveUp));
    });
  },
};
