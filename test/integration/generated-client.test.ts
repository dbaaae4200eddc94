/**
 * A client that a generator of others makes of our OpenAPI document drives our APIs: accounts, keys, bans, usage, the
 * admin API. So the document says what the APIs do, names and types included: the program below is compiled against it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startTestGateway } from '../support/gateway.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const ROOT = 'root-0123456789abcdef0123456789';

const PROGRAM = `
import * as api from './client.ts';

const [url, root] = [process.argv[2] ?? '', process.argv[3] ?? ''];
api.defaults.baseUrl = url;
const asRoot = { headers: { 'x-api-key': root } };
const ok = <T extends { status: number; data?: unknown }>(answer: T): T => {
  if (answer.status >= 300) throw new Error(JSON.stringify(answer));
  return answer;
};

// Accounts and sessions.
const password = 'ancient walrus paints 9 fences';
ok(await api.postRegister({ email: 'ada@example.com', username: 'ada', password }));
const login = ok(await api.postLogin({ username: 'ada', password }));
const { accessToken } = login.data as { accessToken: string };
const asAda = { headers: { authorization: 'Bearer ' + accessToken } };
const me = ok(await api.getMe(asAda)).data as { username: string; id: string };
const wrong = await api.postLogin({ username: 'ada', password: 'wrong' });

// API keys.
const key = ok(await api.postKeys({ name: 'script', expiresIn: 600 }, asAda)).data as { key: string; id: string };
const keys = ok(await api.getKeys(asAda)).data as { keys: { id: string }[] };
const stranger = await api.getKeys();

// Bans, and what is used.
const ban = ok(await api.postApiV1Bans({ kind: 'user', subject: 'mallory', for: '1h' }, asRoot)).data as { id: string };
const bans = ok(await api.getApiV1Bans({}, asRoot)).data as { bans: { subject: string }[] };
ok(await api.deleteApiV1BansId(ban.id, asRoot));
const usage = ok(await api.getApiV1Usage({}, asRoot)).status;
const mine = ok(await api.getApiV1Usage({ account: 'ada', plan: 'standard' }, asRoot));
const quotas: string[] = mine.status === 200 ? mine.data.quotas.map(({ quota }) => quota) : [];
const history = ok(await api.getApiV1UsageHistory({ quota: 'stories' }, asRoot));
const periods: number = history.status === 200 ? history.data.periods.length : -1;
const today = new Date().toISOString().slice(0, 10);
const exported = ok(await api.getApiV1UsageExport('stories', today, { partial: 'true' }, asRoot));
const total: number = exported.status === 200 && typeof exported.data !== 'string' ? exported.data.total : -1;
const early = await api.getApiV1UsageExport('stories', today, {}, asRoot);
const listed = ok(await api.getApiV1Bans({ kind: 'user', subject: 'mallory', all: 'true' }, asRoot));
const lifted: boolean = listed.status === 200 && listed.data.bans.every(({ lifted_at }) => lifted_at !== null);
// @ts-expect-error: the document knows no such kind
const noKind = await api.getApiV1Bans({ kind: 'planet' }, asRoot);

// Events: published, looked up where the response says, and the hub.
const sent = ok(await api.postNotes('hello', { idempotencyKey: 'one' }, asRoot));
const location = sent.status === 202 ? sent.headers.get('location') ?? '' : '';
const became = ok(await api.getEventsPublishedToken(location.split('/').pop() ?? '', asRoot));
const stored = became.status === 200 ? became.data.status : '';
const ticket = ok(await api.postWsTicket(asRoot));
const expiresIn: number = ticket.status === 201 ? ticket.data.expiresIn : 0;
const told = ok(await api.postWsTopicsTopic('rooms.1', { hello: 1 }, asRoot)).status;
const users = ok(await api.getWsTopicsTopicPresence('rooms.1', asRoot));
const present: string[] = users.status === 200 ? users.data.users : ['?'];
const healthy = ok(await api.getHealth());
const health: string = healthy.status === 200 ? healthy.data.status : '';

// Operators.
const status = ok(await api.getStatus({}, asRoot)).data as { status: string };
const routes = ok(await api.getRoutes({}, asRoot)).data as { routes: unknown[] };
const one = ok(await api.getRoutes({ q: 'no-such-route' }, asRoot)).data as { routes: unknown[]; total: number };
const explained = ok(await api.postRoutesExplain({ method: 'GET', url: '/a' }, asRoot)).status;
ok(await api.putLogLevel({ level: 'debug', area: 'discovery', reason: 'a test', forMs: 60_000 }, asRoot));
const ended = ok(await api.deleteLogLevel({ area: 'discovery' }, asRoot)).data as { ended: boolean };
// @ts-expect-error: the document knows no such level
const refused = await api.putLogLevel({ level: 'loud', reason: 'a test', forMs: 60_000 }, asRoot);
// @ts-expect-error: a password is needed
const incomplete = await api.postLogin({ username: 'ada' });

console.log(JSON.stringify({
  me: me.username, wrong: wrong.status, keys: keys.keys.some(({ id }) => id === key.id), stranger: stranger.status,
  bans: bans.bans.map(({ subject }) => subject), usage, status: status.status, routes: routes.routes.length > 0 && one.total > one.routes.length, explained,
  quotas, periods, total, early: early.status, lifted, noKind: noKind.status,
  stored, expires: expiresIn > 0, told, present, health, ended: ended.ended, refused: refused.status, incomplete: incomplete.status,
}));
`;

test('a client that is generated from our document signs in, makes keys, bans and operates', {
  timeout: 240_000,
}, async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: {
      auth: { apiKey: { keys: [{ key: ROOT, subject: 'root', roles: ['admin'], scopes: ['limits:admin'] }] } },
    },
    identity: { enabled: true, firstAdmin: 'off', registration: { verifyEmail: 'off' } },
    admin: { path: '/gatehouse', listen: 'off' },
    abuse: {},
    quotas: { stories: { per: 'day' } },
    openapi: {},
    events: {
      streams: { notes: {} },
      hub: { topics: [{ topic: 'rooms.*', subscribe: 'users', publish: 'users', presence: true }] },
    },
    routes: [
      { match: { path: '/a' }, respond: { body: 'a' }, auth: 'public' },
      { match: { path: '/notes', methods: ['POST'] }, publish: { stream: 'notes' } },
      { match: { path: '/ws/*' }, builtin: 'realtime' },
    ],
  });
  const response = await fetch(`${gateway.url}/openapi/admin.json`, { headers: { 'x-api-key': ROOT } });
  assert.equal(response.status, 200);
  // Below the project, where the generated file finds the generator's runtime and the compiler.
  mkdirSync(join(CHECKOUT, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(CHECKOUT, '.cache/client-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'api.json'), await response.text());
  writeFileSync(join(folder, 'use.ts'), PROGRAM);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    module: 'nodenext',
    target: 'esnext',
    allowImportingTsExtensions: true,
    types: ['node'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, args, { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' } });
  const modules = join(CHECKOUT, 'node_modules');
  await run(join(modules, 'oazapfts/dist/cli.js'), 'api.json', 'client.ts');
  const types = run(join(modules, 'typescript/bin/tsc'), '-p', folder).catch((error: { stdout: string }) => error);
  assert.equal((await types).stdout, '');
  const { stdout } = await run('use.ts', gateway.url, ROOT);
  assert.deepEqual(JSON.parse(stdout), {
    me: 'ada',
    wrong: 401,
    keys: true,
    stranger: 401,
    bans: ['mallory'],
    usage: 200,
    quotas: ['stories'],
    periods: 0,
    total: 0,
    early: 409,
    lifted: true,
    noKind: 400,
    stored: 'stored',
    expires: true,
    told: 202,
    present: [],
    health: 'healthy',
    status: 'healthy',
    routes: true,
    explained: 200,
    ended: true,
    refused: 400,
    incomplete: 400,
  });
});
