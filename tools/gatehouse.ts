/**
 * The command line from the sources, for `npm run gatehouse` in a checkout; the published binary runs what was built.
 */
import { main } from '../src/cli/gatehouse.ts';

process.exitCode = await main(process.argv.slice(2));
