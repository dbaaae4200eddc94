import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unusedNames } from './unused.ts';

const judge = (texts: Readonly<Record<string, string>>): string[] =>
  unusedNames(new Map(Object.entries(texts)), {
    isJudged: (file) => file.startsWith('src/'),
    isDoor: (file) => file === 'src/index.ts',
    called: ['calledByPackage'],
  });

test('an export that another file names is used, and so is what the package exports', () => {
  assert.deepEqual(
    judge({
      'src/a.ts': 'export const used = 1;\n',
      'src/index.ts': "import { used } from './a.ts';\nexport function forOthers() {}\n",
    }),
    [],
  );
});

test('an export is dead when no file names it, in a comment neither', () => {
  assert.deepEqual(judge({ 'src/a.ts': 'export function dead() {}\n', 'src/b.ts': '/** Not dead. */\n// dead\n' }), [
    'src/a.ts: dead is exported and used nowhere',
  ]);
});

test('a pattern in a string begins no comment', () => {
  const user = "app.use('/admin/*', used);\n/** A comment. */\n";
  assert.deepEqual(judge({ 'src/a.ts': 'export const used = 1;\n', 'src/b.ts': user }), []);
});

test('a value that only its own file uses is not exported; a type may be part of what is', () => {
  const text = 'export const LIMIT = 1;\nexport interface Got { a: 1 }\nexport const f = (): Got => ({ a: LIMIT });\n';
  assert.deepEqual(judge({ 'src/a.ts': text, 'test/a.test.ts': 'f();' }), [
    'src/a.ts: LIMIT is exported and used in this file only',
  ]);
});

test('a member that nothing names is dead, unless a package calls it', () => {
  const own =
    'class Own {\n  get dead(): number {\n    return 1;\n  }\n  calledByPackage() {}\n  constructor() {}\n}\nnew Own();\n';
  const foreign =
    "import { type Driver } from 'kysely';\nclass Mine implements Driver {\n  called() {}\n}\nnew Mine();\n";
  assert.deepEqual(judge({ 'src/own.ts': own, 'src/foreign.ts': foreign }), [
    'src/own.ts: nothing but its declaration names the member dead',
  ]);
});
