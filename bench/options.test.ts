import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jobNames, parseOptions } from './options.ts';

test('without arguments eight rounds of two seconds of the plain job are run', () => {
  const { jobs, rounds, seconds, connections, peers } = parseOptions([]);
  assert.deepEqual(
    { jobs, rounds, seconds, connections, peers },
    {
      jobs: ['plain'],
      rounds: 8,
      seconds: 2,
      connections: 64,
      peers: undefined,
    },
  );
});

test('all means every job, and names may be listed with commas', () => {
  assert.deepEqual(parseOptions(['--job', 'all']).jobs, jobNames);
  assert.deepEqual(parseOptions(['--job', 'tls,idle', '--peers', 'a,b']).jobs, ['tls', 'idle']);
});

test('a smoke run covers every job, briefly, unless told otherwise', () => {
  const { jobs, rounds, seconds } = parseOptions(['--smoke']);
  assert.deepEqual({ jobs, rounds, seconds }, { jobs: jobNames, rounds: 1, seconds: 0.5 });
  assert.deepEqual(parseOptions(['--smoke', '--job', 'plain']).jobs, ['plain']);
});

const refused = [
  { name: 'an unknown job', input: ['--job', 'fast'], want: /'fast' is none of plain/ },
  { name: 'an unknown body', input: ['--bodies', '2k'], want: /'2k' is none of 1k/ },
  { name: 'no rounds', input: ['--rounds', '0'], want: /'0' is not a whole number above 0/ },
  { name: 'part of a round', input: ['--rounds', '1.5'], want: /'1.5' is not a whole/ },
  { name: 'a length that is no number', input: ['--seconds', 'long'], want: /'long' is not a number/ },
  { name: 'an option that does not exist', input: ['--fast'], want: /--fast/ },
];
for (const { name, input, want } of refused) {
  test(`refuses ${name} and says why`, () => assert.throws(() => parseOptions(input), { message: want }));
}
