/**
 * What can one address take from another? `npm run bench:flood [-- --seconds N --connections N]`: floods each call of
 * the identity service that needs no account from one address, while another address signs in four times a second;
 * prints p50, p99 and refusals of the sign-ins before the flood and during it. The compiled gateway, SQLite, loopback;
 * the two addresses come by `X-Forwarded-For` through a trusted proxy, which is this process.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readArguments } from './lib/arguments.ts';
import { freePort } from './lib/ports.ts';
import { type Running, start } from './lib/processes.ts';
import { figure, markdownTable } from './lib/table.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  seconds: { type: 'string', default: '4' },
  connections: { type: 'string', default: '130' },
});
const seconds = Number(values.seconds);
const connections = Number(values.connections);
const PASSWORD = 'ancient walrus paints 9 fences';
const SIGN_INS_PER_SECOND = 4;
/** One for each flood, so that each begins with nothing used up. */
const attacker = (nth: number): string => `203.0.113.${nth + 1}`;
const OTHER = '198.51.100.4';

interface Call {
  readonly path: string;
  readonly method?: string;
  body?(nth: number): object;
}

const CODE = 'a-made-up-code-of-enough-length';
/** Each differs from call to call, as a flood would. */
const FLOODS: readonly Call[] = [
  { path: '/register', body: (n) => ({ email: `flood${n}@example.com`, password: PASSWORD }) },
  { path: '/login', body: (n) => ({ username: `nobody${n}`, password: 'not at all the password' }) },
  { path: '/setup', body: (n) => ({ token: `${CODE}${n}`, email: `a${n}@example.com`, password: PASSWORD }) },
  { path: '/password/forgot', body: (n) => ({ email: `flood${n}@example.com` }) },
  { path: '/password/reset', body: (n) => ({ token: `${CODE}${n}`, newPassword: PASSWORD }) },
  { path: '/verify-email', body: (n) => ({ token: `${CODE}${n}`, newPassword: PASSWORD }) },
  { path: '/login/mfa', body: (n) => ({ mfaTicket: `${CODE}${n}`, code: '123456' }) },
  { path: '/refresh', body: (n) => ({ refreshToken: `ghr_${CODE}${n}` }) },
  { path: '/passkeys/challenge' },
  { path: '/login/passkey', body: (n) => ({ passkey: { id: `credential${n}` } }) },
  { path: `/pages/reset-password?token=${CODE}`, method: 'GET' },
];

const agents = { flood: new Agent({ keepAlive: true, maxSockets: connections }), calm: new Agent({ keepAlive: true }) };

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-flood-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
const running: Running[] = [];
try {
  await main();
} finally {
  await Promise.all(running.reverse().map((each) => each.stop()));
}

async function main(): Promise<void> {
  const port = await startGateway();
  const made = await send(
    port,
    '/register',
    { email: 'calm@example.com', username: 'calm', password: PASSWORD },
    OTHER,
  );
  if (made !== 201) throw new Error(`the registration answered ${made}`);
  await signInFor(port, 1);
  const rows: string[][] = [];
  for (const [nth, call] of FLOODS.entries()) {
    const before = await signInFor(port, seconds);
    const flood = floodWith(port, call, attacker(nth));
    await delay(200);
    const during = await signInFor(port, seconds);
    const sent = await flood();
    rows.push([
      `${call.method ?? 'POST'} ${call.path.replace(/\?.*/, '')}`,
      figure(sent.total / (seconds + 0.2)),
      Object.entries(sent.statuses)
        .map(([status, count]) => `${count} x ${status}`)
        .join(', '),
      figure(before.p50),
      figure(before.p99),
      figure(during.p50),
      figure(during.p99),
      `${before.errors} / ${during.errors} of ${during.total}`,
    ]);
  }
  const head = ['flood', 'per second', 'responses', 'p50 before', 'p99 before', 'p50 during', 'p99 during', 'errors'];
  console.log(markdownTable(head, rows));
}

async function startGateway(): Promise<number> {
  const port = await freePort();
  const document = {
    gateway: { host: '127.0.0.1', port, workers: 1, dataDir: join(folder, 'data'), trustProxy: ['127.0.0.1/32'] },
    identity: { enabled: true, firstAdmin: 'link', registration: { verifyEmail: 'off' } },
    routes: [],
  };
  const file = join(folder, 'gatehouse.json');
  writeFileSync(file, JSON.stringify(document));
  mkdirSync(document.gateway.dataDir);
  const args = [join(root, 'bin/gatehouse.js'), 'start', file];
  running.push(await start({ role: 'proxy', command: process.execPath, args, folder, readyPort: port }));
  return port;
}

function send(port: number, path: string, body: object | undefined, address: string, method = 'POST'): Promise<number> {
  return new Promise((done) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const sent = request({
      port,
      host: '127.0.0.1',
      path: `/api/auth${path}`,
      method,
      agent: address === OTHER ? agents.calm : agents.flood,
      headers: {
        'x-forwarded-for': address,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'GET' ? {} : { 'content-length': Buffer.byteLength(text) }),
      },
    });
    sent.on('response', (response) => {
      response.resume();
      response.once('end', () => done(response.statusCode ?? 0));
    });
    sent.once('error', () => done(0));
    sent.end(text);
  });
}

/** As many as there are connections are under way all the time. Returns how it ends. */
function floodWith(port: number, { path, method, body }: Call, address: string) {
  const statuses: Record<string, number> = {};
  let total = 0;
  let stopped = false;
  const loops = Array.from({ length: connections }, async () => {
    while (!stopped) {
      const status = await send(port, path, body?.(++total), address, method);
      if (body === undefined) total++;
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  });
  return async () => {
    stopped = true;
    await Promise.all(loops);
    return { statuses, total };
  };
}

/** Paced, and not waiting for the one before: a slow response does not hide the next. */
async function signInFor(port: number, forSeconds: number) {
  const times: number[] = [];
  let errors = 0;
  const under: Promise<void>[] = [];
  for (let i = 0; i < forSeconds * SIGN_INS_PER_SECOND; i++) {
    const startedAt = performance.now();
    under.push(
      send(port, '/login', { username: 'calm', password: PASSWORD }, OTHER).then((status) => {
        times.push(performance.now() - startedAt);
        if (status !== 200) errors++;
      }),
    );
    await delay(1_000 / SIGN_INS_PER_SECOND);
  }
  await Promise.all(under);
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), errors, total: times.length };
}
