import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ErrorFacts, type ErrorFormat, errorBody } from './error-body.ts';

const AT = Date.parse('2026-01-02T03:04:05Z');
const COMMON = { timestamp: '2026-01-02T03:04:05.000Z', request_id: 'r1' };

function made(format: ErrorFormat, more: Partial<ErrorFacts> = {}, accept: string | null = null) {
  const facts = { status: 400, code: 'VALIDATION_ERROR', message: 'it is wrong', ...more };
  const { contentType, body } = errorBody(facts, { format, accept, requestId: 'r1', path: '/a', wallMs: AT });
  return { contentType, body: JSON.parse(body) as unknown };
}

const one = { field: 'name', value: 7, expected: 'a text' };
const other = { field: 'age', expected: 'a number' };

describe('an error as a body', () => {
  it('is RFC 9457 with code, reason and fields beside', () => {
    assert.deepEqual(made('problem', { reason: 'finer', detail: 'more', fields: [one, other], members: { x: 1 } }), {
      contentType: 'application/problem+json',
      body: {
        type: 'about:blank',
        title: 'it is wrong',
        status: 400,
        detail: 'more',
        instance: '/a',
        code: 'VALIDATION_ERROR',
        reason: 'finer',
        message: 'it is wrong',
        errors: [one, other],
        x: 1,
        ...COMMON,
      },
    });
  });

  it('nested: field, value and expectation in details, further fields beside', () => {
    const { contentType, body } = made('nested', { reason: 'finer', fields: [one, other] });
    assert.equal(contentType, 'application/json; charset=utf-8');
    const details = { ...one, errors: [one, other] };
    assert.deepEqual(body, { error: { code: 'VALIDATION_ERROR', message: 'it is wrong', details }, ...COMMON });
  });

  it('nested and flat name a member of a body plainly, a problem by its JSON Pointer', () => {
    const fields = [{ field: '/commits/0/a~1b', expected: 'a text' }];
    const plain = { field: 'commits.0.a/b', expected: 'a text' };
    const { body } = made('nested', { fields });
    assert.deepEqual((body as { error: { details: object } }).error.details, plain);
    assert.deepEqual((made('flat', { fields }).body as { details: object }).details, plain);
    assert.deepEqual((made('problem', { fields }).body as { errors: object }).errors, fields);
  });

  it('nested: no details where there are none', () => {
    assert.deepEqual(made('nested').body, { error: { code: 'VALIDATION_ERROR', message: 'it is wrong' }, ...COMMON });
  });

  it('flat: the detail joins the message', () => {
    assert.deepEqual(made('flat', { detail: 'more', reason: 'finer', fields: [one] }).body, {
      success: false,
      error_code: 'VALIDATION_ERROR',
      message: 'it is wrong: more',
      reason: 'finer',
      details: one,
      ...COMMON,
    });
  });

  it('a client that accepts problem+json gets it whatever is configured', () => {
    assert.equal(made('flat', {}, 'text/html, application/problem+json').contentType, 'application/problem+json');
  });
});
