import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countedStatus, grpcCode, isGrpcType, percentEncoded, readCode, readTimeout, timeoutText } from './grpc.ts';

test('a timeout is up to eight digits and a unit', () => {
  const rows: [string | null, number][] = [
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3_000],
    ['250m', 250],
    ['1500u', 1.5],
    ['99999999n', 99.999999],
    ['0m', 0],
    ['123456789m', -1],
    ['-1S', -1],
    ['1.5S', -1],
    ['1s', -1],
    ['S', -1],
    ['', -1],
    [null, -1],
  ];
  for (const [text, ms] of rows) assert.ok(Math.abs(readTimeout(text) - ms) < 1e-6, `${text}`);
});

test('what is left of a deadline is told in whole milliseconds, never as none', () => {
  assert.deepEqual([timeoutText(250.9), timeoutText(0.2), timeoutText(2e9)], ['250m', '1m', '2000000S']);
});

test('what is passed on of a deadline has eight digits at most, and is never longer than what was given', () => {
  for (const text of ['99999999H', '99999999M', '99999999S', '1H', '27777H']) {
    const ms = readTimeout(text);
    const passed = timeoutText(ms);
    const readMs = readTimeout(passed);
    assert.ok(readMs > 0 && readMs <= ms && readMs > ms * 0.99, `${text} becomes ${passed}`);
  }
  for (const text of ['5999999941S', '100000000m']) assert.equal(readTimeout(text), -1, `${text} has too many digits`);
  assert.deepEqual([timeoutText(readTimeout('99999999H')), timeoutText(1e18)], ['99999999H', '99999999H']);
});

test('calls are told by their content type; gRPC-Web is none', () => {
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;x=y', 'Application/gRPC'])
    assert.ok(isGrpcType(type), type);
  for (const type of [
    null,
    '',
    'application/grpc-web',
    'application/grpc-web-text',
    'application/json',
    'xapplication/grpc',
  ])
    assert.ok(!isGrpcType(type), `${type}`);
});

test('faults have the codes that clients expect, codes of services count as what they mean', () => {
  const codes = [401, 403, 404, 413, 429, 499, 502, 503, 504, 500, 418].map(grpcCode);
  assert.deepEqual(codes, [16, 7, 12, 8, 8, 1, 14, 14, 4, 13, 2]);
  assert.deepEqual([0, 1, 3, 5, 16].map(countedStatus), [200, 200, 200, 200, 200]);
  assert.deepEqual([2, 4, 8, 13, 14, 15].map(countedStatus), [500, 504, 429, 500, 503, 500]);
  assert.deepEqual([readCode('14'), readCode('x'), readCode(''), readCode(null)], [14, -1, -1, -1]);
});

test('a message is percent-encoded bytes of UTF-8', () => {
  assert.equal(percentEncoded('50% é\n"x"'), '50%25 %C3%A9%0A"x"');
});
