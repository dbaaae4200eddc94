import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from './main.ts';

for (const [what, options] of [
  ['no configuration', {}],
  ['two configurations', { configFile: 'gatehouse.yaml', document: { routes: [] } }],
] as const)
  test(`${what} in the options of startGateway: the message says what it takes`, async () => {
    await assert.rejects(startGateway(options), /^TypeError: startGateway takes either `configFile` or `document`$/);
  });
