/** How long a service other than the gateway runs: until SIGTERM or SIGINT, or until it is not to be trusted any more. */
import type { Logger } from '../base/log.ts';
import { OwnFaults } from '../control/own-faults.ts';
import type { CommandContext } from './command.ts';
import { EXIT } from './command.ts';
import { watchOwnFaults } from './own-faults.ts';

/** Listens at once; resolves with the exit code of the command. */
export async function untilEnded(context: Pick<CommandContext, 'signals'>, log: Logger): Promise<number> {
  const faults = watchOwnFaults(context, new OwnFaults(log));
  const ended = new Promise<void>((end) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) context.signals.on(signal, () => end());
  });
  await Promise.race([ended, faults.unwell]);
  return faults.isUnwell() ? EXIT.defect : EXIT.ok;
}
