/**
 * `gatehouse start`: runs a gateway. SIGTERM and SIGINT drain it, a second one ends it at once,
 * SIGHUP reloads the configuration. Everything else happens in main.ts.
 */
import { messageOf } from '../base/errors.ts';
import { fileMessage } from '../base/read-failure.ts';
import { LISTENS } from '../control/log-words.ts';
import type { GatewayAddress, RunningGateway } from '../main.ts';
import { WORKER_ENTRY } from '../worker-entry.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION } from './command.ts';
import { configFile, counted } from './config-file.ts';
import { onParentGone } from './npm-parent.ts';
import { watchOwnFaults } from './own-faults.ts';
import { serviceManager } from './service-manager.ts';

/** What a shell shows for a process that a signal ended. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

export const start: Command = {
  name: 'start',
  summary: 'start a gateway',
  usage: ['[FILE] [--takeover] [--json]'],
  description: `Runs a gateway in the foreground. FILE is a YAML, JSON, TypeScript or JavaScript configuration; default is gatehouse.yaml, .yml, .json, .ts or .js in the working directory. Environment variables such as PORT win over the file.

SIGTERM and SIGINT (Ctrl+C) drain the gateway: it takes no more connections, finishes what is in flight within gateway.shutdownTimeout, and exits with 0. A second one ends it at once. SIGHUP reloads the configuration; a bad one changes nothing. SIGUSR1 opens the file of the access log anew, after it was moved away. Under systemd (Type=notify) it says when it is ready, reloads and ends.

With --takeover it takes over from the gateway that runs with the same data folder, without losing a request: it listens on the same ports beside it, and when all of it serves the other one finishes what it has and exits with 0. If it cannot start, the other one goes on. Without another one it just starts. Linux only.

Exit codes: 0 drained, 1 the configuration is wrong, 5 something stands in the way, such as a port in use, 70 drained because of a defect in Gatehouse.`,
  options: {
    json: JSON_OPTION,
    takeover: { type: 'boolean', meaning: 'take over from the gateway that runs with the same data folder' },
  },
  arguments: { min: 0, max: 1 },
  isService: true,
  async run(context) {
    const file = configFile(context.positionals[0], context);
    // Signals count from here on: one that comes while the gateway starts must not be lost.
    const ending = endingOf(context);
    const forgetParent = onParentGone(context.env, () => {
      context.err('what started this gateway has ended: so does the gateway\n');
      ending.ask();
    });
    const early = new Set<'SIGHUP' | 'SIGUSR1'>();
    const later: Readonly<Record<'SIGHUP' | 'SIGUSR1', () => void>> = {
      SIGHUP: () => early.add('SIGHUP'),
      SIGUSR1: () => early.add('SIGUSR1'),
    };
    context.signals.on('SIGHUP', later.SIGHUP);
    context.signals.on('SIGUSR1', later.SIGUSR1);
    const forget = (listeners: typeof later): void => {
      for (const signal of ['SIGHUP', 'SIGUSR1'] as const) context.signals.off(signal, listeners[signal]);
    };
    const { beginBuild } = await import('../control/config/build-aside.ts');
    beginBuild({ file, cwd: context.cwd, env: context.env });
    const { beginWorkerThread, dismissWorkerThread } = await import('../control/worker-thread.ts');
    beginWorkerThread(WORKER_ENTRY);
    const { ConfigurationError, startGateway } = await import('../main.ts');
    let gateway: RunningGateway;
    try {
      gateway = await startGateway({
        configFile: file,
        cwd: context.cwd,
        env: context.env,
        takesOver: context.options['takeover'] === true,
      });
    } catch (error) {
      dismissWorkerThread();
      forgetParent();
      ending.forget();
      forget(later);
      context.err(`${fileMessage(error)}\n`);
      if (error instanceof ConfigurationError) {
        context.err(
          `${file}: ${counted(error.problems.filter(({ severity }) => severity === 'error').length, 'error')}\n`,
        );
        return EXIT.configuration;
      }
      return EXIT.failed;
    }
    const faults = watchOwnFaults(context, gateway.primary.faults);
    tell(gateway, file, context);
    const manager = serviceManager(context.env, (problem) => context.err(`${problem}\n`));
    const ready = (): void => manager.ready(`listens on ${gateway.addresses.map(urlOf).join(', ')}`);
    ready();
    const reload = (): void => {
      manager.reloading();
      void gateway
        .reload('SIGHUP')
        .catch((error: unknown) => context.err(`${messageOf(error)}\n`))
        .finally(ready);
    };
    const reopen = (): void => gateway.reopenLogs();
    context.signals.on('SIGHUP', reload);
    context.signals.on('SIGUSR1', reopen);
    forget(later);
    if (early.has('SIGHUP')) reload();
    if (early.has('SIGUSR1')) reopen();
    await Promise.race([ending.asked, gateway.replaced, faults.unwell]);
    // Who takes over from it says so for itself: the service goes on.
    if (ending.isAsked() || faults.isUnwell()) manager.stopping();
    const cutOff = await gateway.stop();
    forget({ SIGHUP: reload, SIGUSR1: reopen });
    forgetParent();
    ending.forget();
    faults.forget();
    await manager.delivered();
    if (cutOff > 0) context.err(`${counted(cutOff, 'connection')} cut off at the end of the time to finish\n`);
    return faults.isUnwell() ? EXIT.defect : EXIT.ok;
  },
};

/** The first signal asks for the end; the second one does not wait for it. */
function endingOf({ signals, exit }: CommandContext): {
  readonly asked: Promise<void>;
  isAsked(): boolean;
  /** As a signal would. */
  ask(): void;
  forget(): void;
} {
  let count = 0;
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const ask = (): void => {
    count++;
    resolve();
  };
  const listeners = (['SIGTERM', 'SIGINT'] as const).map((signal) => {
    const listener = (): void => {
      ask();
      if (count > 1) exit(SIGNAL_CODES[signal]);
    };
    signals.on(signal, listener);
    return { signal, listener };
  });
  return {
    asked,
    isAsked: () => count > 0,
    ask,
    forget: () => {
      for (const { signal, listener } of listeners) signals.off(signal, listener);
    },
  };
}

function tell({ addresses }: RunningGateway, file: string, { options, out }: CommandContext): void {
  if (options['json'] === true) {
    out(`${JSON.stringify({ event: 'started', file, pid: process.pid, addresses })}\n`);
    return;
  }
  for (const address of addresses) out(`${LISTENS} ${urlOf(address)}\n`);
}

/** As it can be put into a browser on the same machine. */
function urlOf({ host, port, tls }: GatewayAddress): string {
  const anywhere = host === '0.0.0.0' || host === '::';
  const name = anywhere ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `${tls ? 'https' : 'http'}://${name}:${port}${anywhere ? ` (all addresses)` : ''}`;
}
