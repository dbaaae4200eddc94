/**
 * The machines that workers run on: keeps three worker processes alive, each with a join token of its own for one use,
 * and kills one on request. It stands for what starts processes elsewhere, such as systemd or Kubernetes.
 *
 *   GET  /             the workers and their processes
 *   POST /kill/NAME    kill -9; it is started again
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { clusterClient } from '../../../src/cluster-client/index.ts';

const { PORT = '4301', OPERATOR_KEY = '', GATEWAYS = 'http://127.0.0.1:8000' } = process.env;
const NAMES = ['worker-1', 'worker-2', 'worker-3'];
const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
const RETRY_MS = 500;

const cluster = clusterClient({ url: GATEWAYS.split(','), apiKey: OPERATOR_KEY });
const workers = new Map<string, { process: ChildProcess | null; starts: number }>();
let isEnding = false;

/** Keeps one worker alive: a token, a process, and again when that has ended. */
async function keep(name: string): Promise<void> {
  const state = { process: null as ChildProcess | null, starts: 0 };
  workers.set(name, state);
  while (!isEnding) {
    const made = await cluster.createJoinToken().catch(() => null);
    if (made !== null && !isEnding) {
      state.starts++;
      const child = spawn(process.execPath, [WORKER], {
        env: { ...process.env, NODE_NAME: name, JOIN_TOKEN: made.token, OPERATOR_KEY: '' },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      state.process = child;
      await new Promise((resolve) => child.once('exit', resolve));
      state.process = null;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

const server = createServer((request, response) => {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  };
  const [, action, name = ''] = (request.url ?? '/').split('/');
  const worker = workers.get(name);
  if (request.method === 'GET' && action === '') {
    send(200, {
      workers: [...workers].map(([each, { process: child, starts }]) => ({
        name: each,
        pid: child?.pid ?? null,
        starts,
      })),
    });
  } else if (request.method === 'POST' && action === 'kill' && worker !== undefined) {
    send(200, { name, killed: worker.process?.kill('SIGKILL') ?? false });
  } else {
    send(404, { message: `there are GET / and POST /kill/NAME, where NAME is ${NAMES.join(', ')}` });
  }
});
server.listen(Number(PORT), '127.0.0.1');
for (const name of NAMES) void keep(name);

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    isEnding = true;
    for (const { process: child } of workers.values()) child?.kill('SIGTERM');
    setTimeout(() => process.exit(0), 4_000).unref();
    const wait = setInterval(() => {
      if ([...workers.values()].some(({ process: child }) => child !== null)) return;
      clearInterval(wait);
      process.exit(0);
    }, 50);
  });
