/** What `/metrics` says of each metric is what the catalogue says of it. */
import assert from 'node:assert/strict';
import { METRICS } from '../../src/control/telemetry/catalogue.ts';

/** Fails for a metric that the catalogue does not have, or has with another type or help. */
export function assertCatalogued(text: string): void {
  const families = [...text.matchAll(/^# TYPE (gatehouse_\w+) (\w+)$/gm)];
  assert.ok(families.length > 0, 'metrics in text format');
  for (const [, name = '', type] of families) {
    const known = METRICS[name] ?? assert.fail(`${name} is not in the catalogue (src/control/telemetry/catalogue)`);
    const help = new RegExp(`^# HELP ${name} (.*)$`, 'm').exec(text)?.[1];
    assert.deepEqual([type, help], [known.type, known.help], name);
  }
}
