import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { environmentKeys } from './environment-keys.ts';
import { hashOfKey, idOfKey, makeKeyText } from './format.ts';

describe('the text of a key', () => {
  test('reads back its id, and every changed letter shows', () => {
    for (let i = 0; i < 50; i++) {
      const { id, text, hash } = makeKeyText();
      assert.equal(idOfKey(text), id);
      assert.equal(hashOfKey(text), hash);
      const at = 4 + (i % (text.length - 4));
      if (text[at] === '_') continue;
      const changed = text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1);
      assert.equal(idOfKey(changed), undefined, `letter ${at}`);
    }
  });

  for (const text of [
    '',
    'ghk_',
    'ghk_abc_def',
    `ghk_${'a'.repeat(12)}_${'b'.repeat(49)}`,
    `${makeKeyText().text} `,
    makeKeyText().text.toUpperCase(),
  ]) {
    test(`"${text.slice(0, 20)}" (${text.length}) is no key`, () => assert.equal(idOfKey(text), undefined));
  }
});

describe('API_KEY_n', () => {
  test('reads key, user, scopes with colons, and plan', () => {
    const keys = environmentKeys({
      API_KEY_1: 'key123:user1:read,write:premium',
      API_KEY_22: 'key-22:u2:projects:read,a:standard',
      API_KEY_X: 'no',
      OTHER: 'x',
    });
    assert.deepEqual(keys.get(hashOfKey('key123')), {
      id: 'env-1',
      subject: 'user1',
      scopes: ['read', 'write'],
      plan: 'premium',
    });
    assert.deepEqual(keys.get(hashOfKey('key-22')), {
      id: 'env-22',
      subject: 'u2',
      scopes: ['projects:read', 'a'],
      plan: 'standard',
    });
    assert.equal(keys.size, 2);
  });

  test('may name no plan', () => {
    assert.deepEqual(environmentKeys({ API_KEY_1: 'key-of-u:u:read' }).get(hashOfKey('key-of-u')), {
      id: 'env-1',
      subject: 'u',
      scopes: ['read'],
      plan: null,
    });
  });

  for (const value of ['key', 'key:user', ':user:read:p', 'key::read:p', 'key:user:re ad:p']) {
    test(`"${value}" stops the start and names the variable`, () => {
      assert.throws(() => environmentKeys({ API_KEY_7: value }), /API_KEY_7 must read/);
    });
  }

  test('the same key twice stops the start', () => {
    assert.throws(() => environmentKeys({ API_KEY_1: 'key-of-a:a:r:p', API_KEY_2: 'key-of-a:b:r:p' }), /repeats/);
  });
});
