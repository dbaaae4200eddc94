/**
 * How long a start takes: `npm run bench:start [-- --runs N]`, which builds both first. From the command to the first
 * response, and the CPU time until then, of the compiled package and of the single executable in `release/`,
 * with one fixed route, with accounts, and with a policy in TypeScript; beside a bare Node server. Each run is a start
 * of its own, in turn; what a first start unpacks and compiles is done before. Linux; loopback and a temporary folder
 * only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readArguments } from './lib/arguments.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { cpuNanoseconds, processTree, residentBytes } from './lib/procfs.ts';
import { median, quantile } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, { runs: { type: 'string', default: '10' } });
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
const EXECUTABLE = join(ROOT, `release/gatehouse-${version}-${process.platform}-${process.arch}`);
if (!existsSync(EXECUTABLE)) {
  console.error(`start.ts: ${EXECUTABLE} is not there; npm run bench:start builds it first`);
  process.exit(2);
}

const ROUTE = `routes:
  - { match: { path: /* }, respond: { body: hello }, auth: public`;
const POLICY = `import { definePolicy } from 'gatehouse/policy';
export default definePolicy({ name: 'say', create: () => ({ requestHead(request) { request.setResponseHeader('X-Say', 'x'); } }) });
`;
const DOCUMENTS: Readonly<Record<string, string>> = {
  'one fixed route': `${ROUTE} }`,
  accounts: `identity: { enabled: true, firstAdmin: 'off' }\n${ROUTE} }`,
  'a policy in TypeScript': `${ROUTE}, use: ./policy.ts }`,
};
const BARE = `require('node:http').createServer((_, response) => response.end('hello')).listen(process.env.PORT, '127.0.0.1')`;

interface Candidate {
  readonly program: string;
  readonly what: string;
  readonly folder: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly firstMs: number[];
  readonly cpuMs: number[];
  readonly residentMB: number[];
}

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-start-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

const programs: readonly (readonly [program: string, command: string, args: readonly string[]])[] = [
  ['package', process.execPath, [join(ROOT, 'bin/gatehouse.js')]],
  ['executable', EXECUTABLE, []],
];
const candidates = [
  candidate('bare Node', 'one fixed response', process.execPath, ['-e', BARE]),
  ...programs.flatMap(([program, command, args]) =>
    Object.entries(DOCUMENTS).map(([what, document]) => {
      const made = candidate(program, what, command, [...args, 'start']);
      writeFileSync(
        join(made.folder, 'gatehouse.yaml'),
        `gateway: { host: 127.0.0.1, dataDir: ./data }\n${document}\n`,
      );
      writeFileSync(join(made.folder, 'policy.ts'), POLICY);
      return made;
    }),
  ),
];

for (const each of candidates) await measure(each);
for (const { firstMs, cpuMs, residentMB } of candidates)
  for (const list of [firstMs, cpuMs, residentMB]) list.length = 0;
for (let run = 0; run < Number(values.runs); run++) for (const each of candidates) await measure(each);

const { cpu, cores, node } = describeMachine();
console.log(`${cpu}, ${cores} cores, Node ${node}, ${values.runs} starts of each\n`);
console.log(
  markdownTable(
    ['program', 'configuration', 'first response ms, median', 'a tenth above', 'CPU ms', 'resident MB'],
    candidates.map(({ program, what, firstMs, cpuMs, residentMB }) => [
      program,
      what,
      figure(median(firstMs)),
      figure(quantile(firstMs, 0.9)),
      figure(median(cpuMs)),
      figure(median(residentMB)),
    ]),
  ),
);

function candidate(program: string, what: string, command: string, args: readonly string[]): Candidate {
  const own = join(folder, `${program} ${what}`.replaceAll(' ', '-'));
  mkdirSync(own);
  return { program, what, folder: own, command, args, firstMs: [], cpuMs: [], residentMB: [] };
}

/** On all cores, as everybody starts it. */
async function measure({ folder: cwd, command, args, firstMs, cpuMs, residentMB }: Candidate): Promise<void> {
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), HOME: folder };
  const sinceMs = performance.now();
  const child = spawn(command, args, { cwd, env, stdio: 'ignore' });
  const ended = once(child, 'exit');
  try {
    await Promise.race([firstResponse(port), ended.then(() => Promise.reject(new Error(`${command} ended`)))]);
    firstMs.push(performance.now() - sinceMs);
    const pids = processTree(child.pid as number);
    cpuMs.push(cpuNanoseconds(pids) / 1e6);
    residentMB.push(residentBytes(pids) / 2 ** 20);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

async function firstResponse(port: number): Promise<void> {
  for (const endMs = performance.now() + 60_000; performance.now() < endMs; await delay(2)) {
    const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    if (response?.status === 200 && (await response.text()) === 'hello') return;
  }
  throw new Error('nothing responded within a minute');
}
