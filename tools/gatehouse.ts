/**
 * The command line from the sources, for `npm run gatehouse` in a checkout; the published binary runs what was built.
 * Gateways that tests start as programs run what the tests have compiled (compiled-for-tests.ts).
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const compiled = process.env['TEST_COMPILED'];
const { main }: typeof import('../src/cli/gatehouse.ts') =
  compiled === undefined
    ? await import('../src/cli/gatehouse.ts')
    : await import(pathToFileURL(join(compiled, 'cli', 'gatehouse.js')).href);

process.exitCode = await main(process.argv.slice(2));
