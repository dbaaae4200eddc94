/**
 * `npm run aware:drill -- MINUTES`: the example under faults. Every ten seconds a gateway or a worker is killed and
 * started again, while callers ask for common calls and an application counts words; prints the share of good calls and
 * their times.
 */
import { readFileSync } from 'node:fs';
import { measure } from './availability.ts';
import { countWords } from './services/count-words.ts';
import { APPLICATION, Aware } from './testing.ts';
import { wordCount } from './word-count.ts';

const EVERY_MS = 10_000;
const VICTIMS = ['gateway-1', 'worker-1', 'gateway-2', 'worker-2', 'worker-3'];
const TEXT = readFileSync(new URL('../storyverse/text/tales.txt', import.meta.url), 'utf8').slice(0, 100_000);

const minutes = Number(process.argv[2] ?? 10);
if (!(minutes > 0)) throw new TypeError('usage: npm run aware:drill -- MINUTES');
const aware = await Aware.start();
try {
  await drill();
} finally {
  await aware.stop();
}

async function drill(): Promise<void> {
  const ended = new AbortController();
  const measuring = measure({ urls: aware.urls, key: APPLICATION, callers: 4, signal: ended.signal });
  const expected = JSON.stringify(Object.entries(countWords(TEXT)).sort());
  let [kills, counts, wrong] = [0, 0, 0];
  const counting = (async () => {
    while (!ended.signal.aborted) {
      const { words } = await wordCount(aware.cluster, TEXT);
      counts++;
      if (JSON.stringify([...words].sort()) !== expected) wrong++;
    }
  })();
  const killing = (async () => {
    const untilMs = performance.now() + minutes * 60_000;
    while (performance.now() < untilMs) {
      await killAndStart(VICTIMS[kills++ % VICTIMS.length] ?? '');
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    ended.abort();
  })();
  const [{ calls, good, p50, p95, p99 }] = await Promise.all([measuring, counting, killing]);
  const share = ((good / calls) * 100).toFixed(3);
  console.log(`${minutes} minutes, ${kills} kills: ${good} of ${calls} calls good (${share} %)`);
  console.log(`p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms; ${counts} texts counted, ${wrong} of them wrong`);
  process.exitCode = good / calls >= 0.9995 && wrong === 0 ? 0 : 1;
}

async function killAndStart(victim: string): Promise<void> {
  if (!victim.startsWith('gateway')) {
    await aware.killWorker(victim);
    return;
  }
  await aware.killGateway(victim);
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS / 2));
  aware.startGateway(victim);
  await aware.gatewayIsReady(victim);
}
