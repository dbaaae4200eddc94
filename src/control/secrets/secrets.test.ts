import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Encryption } from './encryption.ts';
import { masterKeyFile, masterKeyOf } from './master-key.ts';
import { base62 } from './random-token.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-secrets-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('a sealed value', () => {
  const encryption = new Encryption(masterKeyOf('a master key of enough characters').derive('test'));

  test('opens as it was, each time sealed differently', () => {
    assert.equal(encryption.decrypt(encryption.encrypt('grüße', 'row 1'), 'row 1'), 'grüße');
    assert.notEqual(encryption.encrypt('a', 'row 1'), encryption.encrypt('a', 'row 1'));
  });

  test('does not open in another row, with another key, or changed at any byte', () => {
    const sealed = encryption.encrypt('secret', 'row 1');
    assert.throws(() => encryption.decrypt(sealed, 'row 2'));
    assert.throws(() =>
      new Encryption(masterKeyOf('another master key of enough text').derive('test')).decrypt(sealed, 'row 1'),
    );
    assert.throws(() =>
      new Encryption(masterKeyOf('a master key of enough characters').derive('other')).decrypt(sealed, 'row 1'),
    );
    const bytes = Buffer.from(sealed.slice(3), 'base64url');
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes);
      changed[i] = (changed[i] ?? 0) ^ 1;
      assert.throws(() => encryption.decrypt(`v1.${changed.toString('base64url')}`, 'row 1'));
    }
    for (const text of ['', 'v1.', 'v1.AAAA', 'v2.x']) assert.throws(() => encryption.decrypt(text, 'row 1'));
  });
});

describe('the master key file', () => {
  test('is made once, for its owner only, and read the same again', () => {
    const path = join(folder, 'deep', 'identity.key');
    const first = masterKeyFile(path).derive('x').export().toString('hex');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(masterKeyFile(path).derive('x').export().toString('hex'), first);
    assert.ok(readFileSync(path, 'utf8').length >= 64);
  });

  test('that is damaged stops the start', () => {
    const path = join(folder, 'short.key');
    writeFileSync(path, 'abc');
    assert.throws(() => masterKeyFile(path), /damaged/);
  });
});

test('base 62 keeps one length and both ends of the range', () => {
  assert.equal(base62(new Uint8Array(32)), '0'.repeat(43));
  assert.equal(base62(new Uint8Array(32).fill(255)).length, 43);
});
