/** Access records in the operator's form: fields, formats, samples, what is hidden, and files that are moved away. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

async function scene(t: Parameters<typeof startTestGateway>[0], accessRecords: object) {
  const folder = await mkdtemp(join(tmpdir(), 'gh-log-'));
  const file = join(folder, 'access.log');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const upstream = await httpUpstream(t, (request, response) => {
    response.writeHead(request.url?.startsWith('/bad') ? 500 : 200).end('four');
  });
  const gateway = await startTestGateway(t, {
    gateway: { accessLog: { file }, accessRecords },
    services: { a: { instances: [{ url: upstream.url }] } },
    routes: [{ name: 'all', match: { path: '/*' }, service: 'a', auth: 'public' }],
  });
  const get = async (path: string, headers: Record<string, string> = {}): Promise<void> =>
    void (await (await fetch(gateway.url + path, { headers })).text());
  const lines = (count: number): Promise<string[]> =>
    until(() => readFileSync(file, 'utf8').split('\n').length > count, `${count} lines`, 10_000).then(() =>
      readFileSync(file, 'utf8').trimEnd().split('\n'),
    );
  return { folder, file, gateway, get, lines };
}

describe('access records', () => {
  it('have the fields that were chosen, in their order, and no secret', async (t) => {
    const { get, lines } = await scene(t, {
      fields: ['status', 'path', 'query', 'header:X-Tenant', 'header:authorization', 'route', 'bytes_out'],
      redact: { names: ['pin'], patterns: ['[0-9]{16}'] },
    });
    await get('/a/4111111111111111?token=abc&x=1&PIN=7&%74oken=y', {
      'x-tenant': 'one "two"',
      authorization: 'Bearer x',
    });
    const [line = ''] = await lines(1);
    assert.equal(
      line,
      '{"status":200,"path":"/a/***","query":"token=***&x=1&PIN=***&%74oken=***","header_x_tenant":"one \\"two\\"","header_authorization":"***","route":"all","bytes_out":4}',
    );
  });

  it('are logfmt, or what Apache writes, which no value can break out of', async (t) => {
    const logfmt = await scene(t, { format: 'logfmt', fields: ['method', 'path', 'status', 'user_agent'] });
    await logfmt.get('/x?y=1', { 'user-agent': 'a "b" c=d' });
    assert.deepEqual(await logfmt.lines(1), ['method=GET path=/x status=200 user_agent="a \\"b\\" c=d"']);
    const combined = await scene(t, { format: 'combined', fields: ['query'] });
    await combined.get('/x?y=1&key=s', { 'user-agent': 'a"\\é', referer: 'https://a.example/?token' });
    assert.match(
      (await combined.lines(1))[0] ?? '',
      /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/x\?y=1&key=\*\*\* HTTP\/1\.1" 200 4 "https:\/\/a\.example\/\?token" "a\\"\\\\(\\x[0-9a-f]{2})+"$/,
    );
  });

  it('are all written of failures, and of successes as many as were asked for', async (t) => {
    const { get, lines, file } = await scene(t, { successes: 0, fields: ['path', 'status'] });
    for (let i = 0; i < 20; i++) await get('/fine');
    await get('/bad');
    assert.deepEqual(await lines(1), ['{"path":"/bad","status":500}']);
    assert.equal(readFileSync(file, 'utf8').split('\n').length, 2);
  });

  it('go on in a new file when the old one is too large, and the oldest are deleted', async (t) => {
    const { get, folder, lines } = await scene(t, { fields: ['path', 'user_agent'], rotate: { size: 1_024, keep: 2 } });
    const untilMs = Date.now() + 30_000;
    const files = (): string[] => readdirSync(folder).filter((name) => name.startsWith('access.log.'));
    const seen = new Set<string>();
    while (seen.size < 4) {
      assert.ok(Date.now() < untilMs, `files: ${[...seen].join()}`);
      for (let i = 0; i < 20; i++) await get(`/x/${i}`, { 'user-agent': 'x'.repeat(80) });
      for (const name of files()) seen.add(name);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await until(() => files().length <= 2, 'old files are deleted', 10_000);
    assert.ok((await lines(0)).length >= 0);
  });

  it('lose nothing when somebody else moves the file and says so', async (t) => {
    const { get, file, gateway, lines } = await scene(t, { fields: ['path'] });
    await get('/one');
    await lines(1);
    renameSync(file, `${file}.moved`);
    await get('/two');
    gateway.reopenLogs();
    await until(
      () => readFileSync(`${file}.moved`, 'utf8').includes('/two'),
      'the line before it is in the old file',
      10_000,
    );
    await until(() => readdirSync(join(file, '..')).includes('access.log'), 'the file is there again', 10_000);
    await get('/three');
    assert.deepEqual(await lines(1), ['{"path":"/three"}']);
  });
});
