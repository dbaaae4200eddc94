import assert from 'node:assert/strict';
import { it } from 'node:test';
import { GRPC_STATUSES, grpcStatusOf, httpStatusOf, outcomeOf } from './grpc-status.ts';

it('statuses of the server are failures as OpenTelemetry has it, and no others', () => {
  assert.deepEqual(
    GRPC_STATUSES.filter((_, code) => httpStatusOf(code) >= 500),
    ['UNKNOWN', 'DEADLINE_EXCEEDED', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'],
  );
  assert.deepEqual([grpcStatusOf(99), httpStatusOf(99)], ['UNKNOWN', 500]);
});

const ROWS: readonly [name: string, status: number, code: number, fault: number, want: number][] = [
  ['a response', 404, -1, 0, 404],
  ['a response that broke off', 200, -1, 502, 502],
  ['a client that left in the middle of one', 200, -1, 499, 200],
  ['a refusal', 429, -1, 429, 429],
  ['a call', 200, 0, 0, 200],
  ['a call that the service failed', 200, 14, 0, 503],
  ['a call for what is not there', 200, 5, 0, 404],
  ['a call that the gateway failed', 200, 14, 502, 503],
  ['a call that cannot be read, which is INTERNAL', 200, 13, 400, 400],
  ['a call of a route that does not exist, which is UNIMPLEMENTED', 200, 12, 404, 404],
  ['a call that the client gave up', 200, 1, 499, 499],
  ['a call too many', 200, 8, 429, 429],
];
for (const [name, status, code, fault, want] of ROWS)
  it(`the outcome of ${name}`, () => assert.equal(outcomeOf(status, code, fault), want));
