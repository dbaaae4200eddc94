import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ban } from './ban.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { commandLine } from './command-line.suite.ts';
import { featureSocket } from './feature-call.ts';
import { usage } from './usage.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-cli-'));
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

const one = {
  id: 'b1',
  kind: 'address',
  subject: '192.0.2.1',
  reason: 'scans',
  made_by: 'root',
  ends_at: null,
  lifted_at: null,
};

/** A gateway that answers by `METHOD PATH` and remembers what it was asked. */
async function gateway(name: string, answers: Record<string, { status: number; body: unknown }>) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const key = `${request.method} ${request.url}`;
      asked.push(`${key} ${Buffer.concat(parts).toString('utf8')}`.trim());
      const { status, body } = answers[key] ?? { status: 404, body: { message: 'there is no such endpoint' } };
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(body === null ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  const socket = join(folder, `${name}`, 'gatehouse.sock');
  const { mkdirSync } = await import('node:fs');
  mkdirSync(join(folder, name));
  const control = createServer((request, response) => server.emit('request', request, response));
  servers.push(server, control);
  await new Promise<void>((resolve) => server.listen(featureSocket('limits', socket), resolve));
  await new Promise<void>((resolve) => control.listen(socket, resolve));
  return { socket, asked };
}

async function run(command: Command, socket: string, positionals: string[], options: CommandContext['options'] = {}) {
  let [out, err] = ['', ''];
  const context: CommandContext = {
    positionals,
    options: { socket, ...options },
    cwd: folder,
    env: {},
    signals: { on: () => {}, off: () => {} },
    exit: () => {},
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  };
  const code = await command.run(context);
  return { code, out, err };
}

test('ban lists, adds and lifts', async () => {
  const { socket, asked } = await gateway('bans', {
    'GET /bans?': { status: 200, body: { bans: [one] } },
    'GET /bans': { status: 200, body: { bans: [one] } },
    'POST /bans': { status: 201, body: { ...one, ends_at: '2026-01-01T00:00:00.000Z' } },
    'DELETE /bans/b1': { status: 204, body: null },
  });
  const listed = await run(ban, socket, ['list']);
  assert.deepEqual([listed.code, listed.out], [EXIT.ok, 'b1  address 192.0.2.1  until lifted  by root: scans\n']);
  assert.deepEqual(JSON.parse((await run(ban, socket, [], { json: true })).out), [one]);
  const added = await run(ban, socket, ['add', '192.0.2.1'], { for: '1d', reason: 'scans' });
  assert.match(added.out, /until 2026-01-01T00:00:00.000Z/);
  assert.equal((await run(ban, socket, ['lift', '192.0.2.1'])).out, 'lifted: 192.0.2.1\n');
  assert.equal((await run(ban, socket, ['lift', '192.0.2.2'])).code, EXIT.notFound);
  assert.ok(
    asked.includes('POST /bans {"kind":"address","subject":"192.0.2.1","for":"1d","reason":"scans"}'),
    asked.join('\n'),
  );
  await assert.rejects(run(ban, socket, ['add']), UsageError);
});

test('a refusal by the gateway is reported with its reason', async () => {
  const body = {
    message: 'subject is not valid',
    errors: [{ field: 'subject', value: 'x', expected: 'an address or a CIDR block' }],
  };
  const { socket } = await gateway('refusals', { 'POST /bans': { status: 400, body } });
  const { code, err } = await run(ban, socket, ['add', 'x']);
  assert.deepEqual([code, err], [EXIT.failed, 'subject is not valid: subject must be an address or a CIDR block\n']);
});

test('usage shows an account and exports a period', async () => {
  const quotas = [
    { quota: 'stories', period: '2026-01-01', end: '2026-01-02T00:00:00.000Z', used: 2, limit: 5, remaining: 3 },
  ];
  const { socket } = await gateway('usage', {
    'GET /usage?account=ada': { status: 200, body: { quotas } },
    'GET /usage/export?quota=stories&period=2026-01-01&format=csv&partial=true': {
      status: 200,
      body: 'quota,period\r\n',
    },
    'GET /usage/export?quota=songs&period=2026-01-01&format=json': {
      status: 404,
      body: { message: 'there is no such quota' },
    },
  });
  assert.equal(
    (await run(usage, socket, ['show', 'ada'])).out,
    'stories  2026-01-01  2 used of 5, 3 left, until 2026-01-02T00:00:00.000Z\n',
  );
  const exported = await run(usage, socket, ['export', 'stories', '2026-01-01'], { format: 'csv', partial: true });
  assert.equal(exported.out, 'quota,period\r\n');
  const missing = await run(usage, socket, ['export', 'songs', '2026-01-01']);
  assert.deepEqual([missing.code, missing.err], [EXIT.notFound, 'there is no such quota\n']);
  await assert.rejects(run(usage, socket, ['export', 'stories']), UsageError);
  await assert.rejects(run(usage, socket, ['export', 'stories', '2026'], { format: 'xml' }), UsageError);
});

test('without a gateway the exit code says so', async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  for (const words of [
    ['ban', 'list'],
    ['usage', 'show', 'u1'],
  ]) {
    const { code, err } = await cli.run(...words, '--socket', 'nowhere/gatehouse.sock');
    assert.equal(code, EXIT.unreachable);
    assert.match(err, /^no gateway answers at .*nowhere\/(?:limits-control|gatehouse)\.sock: there is no such socket/);
  }
});

test('usage takes the name of an account, and says when there is none', async () => {
  const empty = { quota: 'stories', period: '2026-01-01', end: 'later', used: 0, limit: 5, remaining: 5 };
  const { socket } = await gateway('names', {
    'GET /admin/api/features/identity/users?q=Ada&limit=100': {
      status: 200,
      body: {
        users: [
          { id: 'u9', username: 'adam' },
          { id: 'u1', username: 'ada', email: 'ada@example.com' },
        ],
      },
    },
    'GET /admin/api/features/identity/users?q=nobody&limit=100': { status: 200, body: { users: [] } },
    'GET /admin/api/features/identity/users?q=old&limit=100': { status: 200, body: { users: [] } },
    'GET /usage?account=u1': { status: 200, body: { quotas: [empty] } },
    'GET /usage?account=nobody': { status: 200, body: { quotas: [empty] } },
    'GET /usage/history?account=nobody': { status: 200, body: { periods: [] } },
    'GET /usage?account=old': { status: 200, body: { quotas: [empty] } },
    'GET /usage/history?account=old': { status: 200, body: { periods: [{ quota: 'stories' }] } },
  });
  assert.match(
    (await run(usage, socket, ['show', 'Ada'])).out,
    /^stories .* 0 used of 5/,
    'by name, though it used none',
  );
  const unknown = await run(usage, socket, ['show', 'nobody']);
  assert.deepEqual([unknown.code, unknown.out], [EXIT.notFound, '']);
  assert.match(unknown.err, /^there is no account "nobody"/);
  assert.equal((await run(usage, socket, ['show', 'old'])).code, EXIT.ok, 'a caller of an outside issuer');
});
