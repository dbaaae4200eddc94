/**
 * `npm run cluster:drill -- MINUTES [--store sqlite|postgres]`: three gateways under every fault of the tests, one
 * after the other, while callers ask all of them. Prints what happened, and the share of good answers. Exit code 1
 * below 99.95 %.
 */
import { parseArgs } from 'node:util';
import { drill } from '../support/cluster-drill.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { store: { type: 'string', default: 'postgres' } },
});
const minutes = Number(positionals[0] ?? 10);
if (!(minutes > 0) || !['sqlite', 'postgres'].includes(values.store))
  throw new TypeError('usage: npm run cluster:drill -- MINUTES [--store sqlite|postgres]');

const hooks: (() => void | Promise<void>)[] = [];
try {
  const { good, calls, faults, missed } = await drill(
    { after: (hook) => void hooks.push(hook) },
    { store: values.store === 'sqlite' ? 'SQLite' : 'PostgreSQL', forMs: minutes * 60_000, say: console.log },
  );
  const share = ((good / calls) * 100).toFixed(4);
  console.log(`${minutes} minutes, ${faults} faults: ${good} of ${calls} calls good (${share} %)`);
  for (const [what, count] of missed) console.log(`  not good: ${count} x ${what}`);
  process.exitCode = good / calls >= 0.9995 ? 0 : 1;
} finally {
  for (const hook of hooks.reverse()) await hook();
}
