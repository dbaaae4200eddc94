/**
 * An application of the cluster: cuts a text into parts, has the workers count the words of each, and adds up. Workers
 * may come and go meanwhile: a part whose worker is gone is counted by another.
 *
 *   CLUSTER_KEY=... GATEWAYS=http://127.0.0.1:8000 npx node word-count.ts FILE
 */
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { type ClusterClient, clusterClient } from '../../src/cluster-client/index.ts';
import { mergeCounts } from './services/count-words.ts';

const PART_LENGTH = 4_000;

export interface WordCount {
  readonly words: ReadonlyMap<string, number>;
  /** Parts that each node has counted. */
  readonly byNode: ReadonlyMap<string, number>;
}

export async function wordCount(cluster: ClusterClient, text: string, partLength = PART_LENGTH): Promise<WordCount> {
  const tasks = await Promise.all(
    parts(text, partLength).map((part) =>
      cluster.createTask({
        kind: 'count-words',
        payload: { text: part },
        selector: { does: 'words' },
        timeoutMs: 5_000,
      }),
    ),
  );
  const done = [];
  // One after the other: all end at about the same time, and asking for each of them all the time would be a flood.
  for (const { id } of tasks) done.push(await cluster.waitForTask(id, { everyMs: 200 }));
  const byNode = new Map<string, number>();
  const counts = done.map(({ state, result, error }) => {
    if (state !== 'done') throw new Error(`a part was not counted: ${error ?? state}`);
    const { node, counts: found } = result as { node: string; counts: Record<string, number> };
    byNode.set(node, (byNode.get(node) ?? 0) + 1);
    return found;
  });
  return { words: mergeCounts(counts), byNode };
}

/** Never cuts a word: each part ends at white space. */
export function parts(text: string, length: number): string[] {
  const found: string[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + length, text.length);
    while (end < text.length && !/\s/.test(text[end] ?? ' ')) end++;
    found.push(text.slice(at, end));
    at = end;
  }
  return found;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { CLUSTER_KEY = '', GATEWAYS = 'http://127.0.0.1:8000' } = process.env;
  const cluster = clusterClient({ url: GATEWAYS.split(','), apiKey: CLUSTER_KEY });
  const { words, byNode } = await wordCount(cluster, await readFile(process.argv[2] ?? '', 'utf8'));
  const most = [...words].sort(([, a], [, b]) => b - a).slice(0, 10);
  for (const [word, count] of most) console.log(`${String(count).padStart(6)}  ${word}`);
  console.log(
    `\n${words.size} different words; parts by node: ${[...byNode].map(([node, n]) => `${node} ${n}`).join(', ')}`,
  );
}
