/**
 * The second process of the race tests: an identity service on the same database that does what it is told on the
 * same word as the first. Told over IPC: `{ rounds: [{ kind, ... }] }` one at a time; answers with the outcomes.
 */
import { createLogger } from '../../../src/base/log.ts';
import { openContext } from '../../../src/control/identity/identity.ts';
import { type RaceOrder, runOrder } from './race-orders.ts';

const [storeUrl = '', dataDir = ''] = process.argv.slice(2);
const { context, release } = await openContext(
  { passwords: { memory: '8mb', passes: 1 } },
  { dataDir, storeUrl, log: createLogger('silent') },
);
await context.signingKeys.refresh();
process.on('message', (order: RaceOrder | 'end') => {
  if (order === 'end') void release().then(() => process.disconnect?.());
  else void runOrder(context, order).then((outcomes) => process.send?.(outcomes));
});
process.send?.('ready');
