import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PHASES_OF_POLICY } from '../contract/policy-phases.ts';
import { POLICIES } from './index.ts';

test('what the main thread says of the phases of a policy is what the policy says', () => {
  assert.deepEqual(PHASES_OF_POLICY, Object.fromEntries(POLICIES.map(({ name, phases }) => [name, [...phases]])));
});
