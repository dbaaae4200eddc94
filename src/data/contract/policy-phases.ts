/**
 * The phases in which each policy may act, for the main thread, which loads no policy: what a request meets on its way,
 * said before it is sent. policies/policy-phases.test.ts holds it equal to the definitions.
 */
import type { PolicyPhase } from '../../base/vocabulary.ts';

export const PHASES_OF_POLICY: Readonly<Record<string, readonly PolicyPhase[]>> = {
  abuse: ['authenticate', 'authorize', 'finish'],
  auth: ['authenticate', 'authorize'],
  authorize: ['authorize'],
  cache: [],
  compression: ['responseHead'],
  cors: ['authenticate', 'responseHead'],
  decompression: ['requestHead'],
  'fault-injection': ['requestHead'],
  headers: ['requestHead', 'responseHead'],
  hygiene: ['requestHead', 'responseHead'],
  idempotency: ['requestBody', 'responseHead', 'finish'],
  'ip-filter': ['arrival', 'authenticate'],
  publish: ['requestHead'],
  quota: ['limit', 'responseHead', 'finish'],
  'rate-limit': ['arrival', 'authenticate', 'limit', 'responseHead'],
  realtime: ['requestHead'],
  'security-headers': ['responseHead'],
  subscribe: ['requestHead'],
  transform: ['requestHead', 'requestBody', 'responseHead'],
  use: ['arrival', 'authenticate', 'authorize', 'limit', 'requestHead', 'requestBody', 'responseHead', 'finish'],
  validate: ['requestHead', 'responseHead'],
};
