/**
 * The words of the project, as types. A phase has the same name in the code, in the hooks of policies and in the
 * headings of docs/life-of-a-request.md; test/integration/phases.test.ts compares them with what a request meets.
 */

/** The life of one exchange, in order. `pick` to `upstreamHead` happen once per attempt. */
export const PHASES = [
  'accept',
  'arrival',
  'route',
  'authenticate',
  'authorize',
  'limit',
  'requestHead',
  'requestBody',
  'pick',
  'connect',
  'send',
  'upstreamHead',
  'responseHead',
  'responseBody',
  'finish',
] as const;
export type Phase = (typeof PHASES)[number];

/** The phases in which a policy may act. The rest belong to the engine. */
export const POLICY_PHASES = [
  'arrival',
  'authenticate',
  'authorize',
  'limit',
  'requestHead',
  'requestBody',
  'responseHead',
  'finish',
] as const satisfies readonly Phase[];
export type PolicyPhase = (typeof POLICY_PHASES)[number];

/** Downstream is the side that calls the gateway, upstream the side the gateway calls, internal is the gateway. */
export type Side = 'downstream' | 'upstream' | 'internal';
