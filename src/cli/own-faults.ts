/** Listens to what goes wrong in the process of a service where nothing waits for it. */
import type { OwnFaults } from '../control/own-faults.ts';
import type { CommandContext } from './command.ts';

export interface WatchedFaults {
  /** Resolves when something was thrown where nothing catches it: the service should end. */
  readonly unwell: Promise<void>;
  isUnwell(): boolean;
  forget(): void;
}

export function watchOwnFaults({ signals }: Pick<CommandContext, 'signals'>, faults: OwnFaults): WatchedFaults {
  const { promise: unwell, resolve } = Promise.withResolvers<void>();
  let isUnwell = false;
  const onRejection = (reason: unknown): void => faults.rejected(reason);
  const onException = (error: unknown): void => {
    faults.thrown(error);
    isUnwell = true;
    resolve();
  };
  signals.on('unhandledRejection', onRejection);
  signals.on('uncaughtException', onException);
  return {
    unwell,
    isUnwell: () => isUnwell,
    forget: () => {
      signals.off('unhandledRejection', onRejection);
      signals.off('uncaughtException', onException);
    },
  };
}
