/** A second gateway of the cluster, started by a program instead of by the command line. */
import { fileURLToPath } from 'node:url';
import { startGateway } from '../../../src/index.ts';

const gateway = await startGateway({ configFile: fileURLToPath(new URL('../gatehouse.yaml', import.meta.url)) });
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => void gateway.stop({ timeoutMs: 2_000 }).then(() => process.exit(0)));
