/**
 * Tells systemd how the gateway is (`Type=notify`, sd_notify(3)): when it listens, when a reload begins and has ended,
 * when it drains. Node has no datagram sockets of the Unix kind, so the program `systemd-notify` says it, one at a time
 * and in order. Where NOTIFY_SOCKET is not set, nothing happens; a missing program is logged once.
 */
import { execFile } from 'node:child_process';
import { messageOf } from '../base/errors.ts';
import type { Environment } from '../control/config/source.ts';

export interface ServiceManager {
  ready(status: string): void;
  reloading(): void;
  stopping(): void;
  /** Resolves when all notices so far have arrived. */
  delivered(): Promise<void>;
}

const PROGRAM = 'systemd-notify';
const LONGEST_MS = 30_000;

export function serviceManager(env: Environment, failed: (problem: string) => void): ServiceManager {
  const socket = env['NOTIFY_SOCKET'];
  let last = Promise.resolve();
  let isAway = socket === undefined || socket === '';
  let isStopping = false;
  const tell = (...states: string[]): void => {
    last = last.then(async () => {
      if (isAway) return;
      await new Promise<void>((done) => {
        const options = { timeout: LONGEST_MS, env: { PATH: env['PATH'] ?? '/usr/bin:/bin', NOTIFY_SOCKET: socket } };
        execFile(PROGRAM, states, options, (error) => {
          if (error !== null) failed(`systemd does not receive the state of this service: ${messageOf(error).trim()}`);
          // No such program: there will be none the next time.
          isAway = error?.code === 'ENOENT';
          done();
        });
      });
    });
  };
  return {
    ready(status) {
      // A reload may end while the gateway drains.
      // The process that is the service now, also after it took over from another.
      if (!isStopping) tell('READY=1', `MAINPID=${process.pid}`, `STATUS=${status}`);
    },
    reloading() {
      if (!isStopping) tell('RELOADING=1');
    },
    stopping() {
      isStopping = true;
      tell('STOPPING=1', 'STATUS=finishes what is in flight');
    },
    delivered: () => last,
  };
}
