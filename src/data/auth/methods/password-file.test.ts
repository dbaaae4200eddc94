import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePasswordFile, parsePasswordHash } from './password-file.ts';

const salt = Buffer.alloc(16, 1).toString('base64').replace(/=+$/, '');
const digest = Buffer.alloc(32, 2).toString('base64').replace(/=+$/, '');
const argon = (m = 19_456, t = 2, p = 1): string => `$argon2id$v=19$m=${m},t=${t},p=${p}$${salt}$${digest}`;
const scrypt = (ln = 15, r = 8, p = 1): string => `$scrypt$ln=${ln},r=${r},p=${p}$${salt}$${digest}`;

test('reads users, their roles, scopes and plan; skips comments and empty lines', () => {
  const { users, problems } = parsePasswordFile(
    `# people\n\nalice:${argon()} scopes=projects:read,projects:write roles=admin,editor plan=premium\r\nbob:${scrypt()}\n`,
  );
  assert.deepEqual(problems, []);
  const [alice, bob] = users;
  assert.deepEqual(
    [alice?.name, alice?.roles, alice?.scopes, alice?.plan, alice?.hash.algorithm, alice?.hash.memory],
    ['alice', ['admin', 'editor'], ['projects:read', 'projects:write'], 'premium', 'argon2id', 19_456],
  );
  assert.deepEqual([bob?.name, bob?.roles, bob?.plan, bob?.hash.algorithm], ['bob', [], null, 'scrypt']);
});

for (const { name, text, want } of [
  { name: 'an empty file', text: '# nobody\n', want: /names no user/ },
  { name: 'a line without a hash', text: 'alice', want: /^line 1: a line starts with name:hash/ },
  { name: 'a line without a name', text: `:${argon()}`, want: /line 1/ },
  { name: 'a password in clear', text: '\nalice:secret', want: /^line 2: the hash is not of the form/ },
  { name: 'bcrypt', text: 'alice:$2b$12$abcdefghijklmnopqrstuv', want: /not of the form/ },
  { name: 'argon2i', text: `alice:${argon().replace('argon2id', 'argon2i')}`, want: /not of the form/ },
  { name: 'a user twice', text: `a:${argon()}\na:${argon()}`, want: /^line 2: the user is already/ },
  { name: 'an unknown item', text: `a:${argon()} role=admin`, want: /roles=, scopes= and plan=/ },
]) {
  test(`says what is wrong with ${name}, without saying what the line says`, () => {
    const { problems } = parsePasswordFile(text);
    assert.match(problems.join('; '), want);
    assert.doesNotMatch(problems.join('; '), /secret|\$2b/);
  });
}

for (const { name, hash, good } of [
  { name: 'the OWASP minimum', hash: argon(), good: true },
  { name: 'argon2id beyond 256 MiB', hash: argon(262_145), good: false },
  { name: 'argon2id with too little memory', hash: argon(7), good: false },
  { name: 'argon2id with 11 passes', hash: argon(19_456, 11), good: false },
  { name: 'scrypt of N = 2^17', hash: scrypt(17), good: true },
  { name: 'scrypt of N = 2^20', hash: scrypt(20), good: false },
  { name: 'a short salt', hash: argon().replace(salt, 'AAAA'), good: false },
  { name: 'a short hash', hash: argon().replace(digest, 'AAAA'), good: false },
]) {
  test(`${good ? 'takes' : 'refuses'} ${name}`, () => {
    assert.equal(typeof parsePasswordHash(hash) === 'object', good);
  });
}
