import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Head } from './head.ts';
import { HeadBuilder } from './head-builder.ts';
import { passingTrailers } from './trailers.ts';

function trailers(...fields: readonly (readonly [name: string, value: string])[]): Head {
  const head = new Head(16);
  const builder = new HeadBuilder(head, Buffer.alloc(4_096));
  for (const [name, value] of fields) builder.field(name, value);
  builder.end();
  return head;
}

const passing = (...fields: readonly (readonly [name: string, value: string])[]) => {
  const block = passingTrailers(trailers(...fields));
  return block === null ? null : block.names.map((name, i) => [name, block.values[i]]);
};

test('what frames, routes or authenticates does not pass, nor what only the gateway says', () => {
  assert.deepEqual(passing(['grpc-status', '0'], ['x-auth-user', 'root'], ['Content-Length', '4'], ['x-sum', 'a']), [
    ['grpc-status', '0'],
    ['x-sum', 'a'],
  ]);
  assert.equal(passing(['X-Forwarded-For', '10.0.0.1'], ['host', 'a']), null);
  assert.equal(passingTrailers(trailers()), null);
  assert.equal(passingTrailers(null), null);
});

test('trailers that come again pass as the same block, others never as those before them', () => {
  const ok = passingTrailers(trailers(['grpc-status', '0']));
  assert.equal(passingTrailers(trailers(['grpc-status', '0'])), ok);
  assert.deepEqual(passing(['grpc-status', '5']), [['grpc-status', '5']]);
  assert.deepEqual(passing(['grpc-status', '0'], ['grpc-message', '']), [
    ['grpc-status', '0'],
    ['grpc-message', ''],
  ]);
  assert.deepEqual(passing(['grpc-status', '0']), [['grpc-status', '0']]);
  const long = 'y'.repeat(300);
  for (const value of [long, `${long}z`, long]) assert.deepEqual(passing(['x-long', value]), [['x-long', value]]);
  assert.equal(passing(['host', 'a']), null);
  assert.equal(passing(['host', 'a']), null);
  assert.deepEqual(passing(['x-os', 'a']), [['x-os', 'a']]);
});
