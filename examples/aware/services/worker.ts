/** A worker node: joins with the token it was given, counts words, leaves on a signal. */
import { joinCluster } from '../../../src/cluster-client/index.ts';
import { countWords } from './count-words.ts';

const { NODE_NAME = 'worker', JOIN_TOKEN = '', GATEWAYS = 'http://127.0.0.1:8000' } = process.env;

const worker = await joinCluster({
  url: GATEWAYS.split(','),
  joinToken: JOIN_TOKEN,
  name: NODE_NAME,
  labels: { does: 'words' },
  capacity: 2,
  async run({ kind, payload, progress }) {
    if (kind !== 'count-words') throw Object.assign(new Error(`this worker does not know ${kind}`), { final: true });
    const { text } = payload as { readonly text?: unknown };
    if (typeof text !== 'string') throw Object.assign(new Error('payload.text must be a text'), { final: true });
    await progress(0.5);
    return { node: NODE_NAME, counts: countWords(text) };
  },
});
console.log(JSON.stringify({ joined: NODE_NAME, node: worker.nodeId }));
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => void worker.close({ timeoutMs: 3_000 }).then(() => process.exit(0)));
