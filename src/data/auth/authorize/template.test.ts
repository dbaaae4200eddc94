import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordingExchange } from '../../policies/testing.ts';
import { PreparedIdentity } from '../identity.ts';
import { noHeaders } from '../identity-headers.ts';
import { compileTemplate, templateProblem } from './template.ts';

const exchange = new RecordingExchange({
  path: '/a%20b',
  query: 'q=1',
  params: { id: 'x\r\nEvil: 1', name: 'ü' },
  headers: { 'x-tenant': 'a, b c' },
  identity: new PreparedIdentity(
    { method: 'jwt', subject: 'alice', roles: ['a', 'b'], scopes: [], plan: null },
    { sub: 'alice', level: 7, list: ['x,y', 'z'], deep: { a: 1 } },
    noHeaders,
  ),
});

for (const [text, want] of [
  ['plain, text', 'plain, text'],
  ['{request.id}', 'req-1'],
  ['{request.scheme}://{request.host}{request.path}?{request.query}', 'https://gateway.example/a%20b?q=1'],
  ['{header.x-tenant}', 'a, b c'],
  ['user {auth.sub} level {auth.claims.level}', 'user alice level 7'],
  ['{auth.roles}', 'a,b'],
  ['{auth.claims.list}', 'x%2Cy,z'],
  ['{params.id}', 'x%0D%0AEvil:%201'],
  ['{params.name}', '%C3%BC'],
  ['{auth.plan}', null],
  ['{params.none}', null],
  ['{auth.claims.deep}', null],
] as const) {
  test(`${text} gives ${want ?? 'nothing'}`, () => assert.equal(compileTemplate(text)(exchange), want));
}

test('two braces stand for one', () =>
  assert.equal(compileTemplate('{{"by":"{request.id}"}} {request.id}}}')(exchange), '{"by":"req-1"} req-1}'));

for (const [text, want] of [
  ['{nothing.known}', /not known/],
  ['{auth.sub == 1}', /not a placeholder/],
  ['a } b', /stands alone/],
  ['a { b', /stands alone/],
  ['{}', /not a placeholder/],
] as const) {
  test(`says what is wrong with ${text}`, () => assert.match(templateProblem(text) ?? '', want));
}
