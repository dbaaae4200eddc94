/**
 * What nobody uses: exports that no other file names, and members of classes and interfaces whose name stands nowhere
 * else. It compares names and not types: it misses what shares its name with something used, and what it prints is
 * dead.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unusedNames } from './unused.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const USERS = ['{src,test,examples,bench,tools}/**/*.ts', 'bin/*.js', 'console/**/*.js'];
/** What the package exports (package.json). */
const DOOR = /^src\/(index|(testing|registry|cluster-client)\/index|data\/contract\/(balancer|user-policy))\.ts$/;

/** Members that a package calls, of an interface whose name it does not export to us. */
const CALLED = ['serializeRequest', 'deserializeResponse'];

const files = globSync(USERS, { cwd: ROOT, exclude: ['**/node_modules/**'] });
const found = unusedNames(new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')])), {
  isJudged: (file) => file.startsWith('src/') && !/\.(test|suite)\.ts$/.test(file),
  isDoor: (file) => DOOR.test(file),
  called: CALLED,
});
for (const each of found) console.log(each);
console.log(`${files.length} files looked at, ${found.length} names that nobody uses`);
process.exitCode = found.length === 0 ? 0 : 1;
