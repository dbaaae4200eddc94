/**
 * Symptom: `GET /orders` in a version that does not exist was answered 405 with `Allow: POST`, although GET is there in
 * other versions.
 * Cause: a route of the same path without version counted as one in the version asked for, and its methods went before
 * the missing version.
 * Fix: where the method is there, only a route that has the version asked for makes it a question of the method.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildRouter, RouteMatchResult } from '../../src/data/router/router.ts';
import { request, route, version } from '../support/route-settings.ts';

const BY = { kind: 'header', header: 'X-API-Version' } as const;
const VERSIONED = [
  route('GET /orders', { id: 'v1', version: version('1', BY) }),
  route('POST /orders', { id: 'v3', version: version('3', BY) }),
];

function answer(without: string, line: string, asked: string | null): string {
  const out = new RouteMatchResult();
  const fields = asked === null ? {} : { 'x-api-version': asked };
  buildRouter([...VERSIONED, route(without)]).match(request(line, fields), out);
  if (out.route !== null) return out.route.id;
  if (out.allow !== null) return `405 ${out.allow}`;
  return out.versionProblem ? '406' : '404';
}

const ROWS: readonly { without: string; line: string; asked: string | null; want: string }[] = [
  { without: 'PUT /orders', line: 'GET /orders', asked: '9', want: '406' },
  { without: 'PUT /orders', line: 'GET /orders', asked: null, want: '406' },
  { without: 'PUT /*', line: 'GET /orders', asked: '9', want: '406' },
  { without: 'PUT /orders', line: 'GET /orders', asked: '1', want: 'v1' },
  { without: 'PUT /orders', line: 'GET /orders', asked: '3', want: '405 POST, PUT' },
  { without: 'PUT /orders', line: 'PUT /orders', asked: '9', want: 'PUT /orders' },
  { without: 'PUT /orders', line: 'DELETE /orders', asked: '9', want: '405 PUT' },
  { without: 'PUT /others', line: 'GET /orders', asked: '9', want: '406' },
];

for (const { without, line, asked, want } of ROWS) {
  test(`${line} in ${asked === null ? 'no version' : `version ${asked}`} beside ${without} is ${want}`, () => {
    assert.equal(answer(without, line, asked), want);
  });
}
