/**
 * Request targets as browsers, curl, SDKs and old systems send them: what reaches the service, and what is refused
 * because a service could read it as a path of another route. Raw bytes go in, raw bytes come out.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { before, describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';

const latin = (text: string): string => Buffer.from(text).toString('latin1');

describe('request targets', () => {
  const scope = suiteScope();
  const seen: string[] = [];
  let gateway: TestGateway;

  /** A service that takes any bytes: Node's own parser would refuse some. */
  before(async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        seen.push(bytes.toString('latin1').split(' ')[1]!);
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.after(() => void server.close());
    const { port } = server.address() as { port: number };
    gateway = await startTestGateway(scope, {
      services: { s: { instances: [{ url: `http://127.0.0.1:${port}` }] } },
      routes: [
        { match: { path: '/admin/*' }, respond: { status: 403 }, auth: 'public' },
        { match: { path: '/api/*' }, service: 's', rewrite: { stripPrefix: '/api' }, auth: 'public' },
        { match: { path: '/strict/*' }, service: 's', pathSafety: 'strict', auth: 'public' },
        { match: { path: '/npm/:name' }, service: 's', pathSafety: { allowEncodedSlash: true }, auth: 'public' },
        { match: { path: '/npm/:name/:version' }, respond: { status: 403 }, auth: 'public' },
        { match: { path: '/*' }, service: 's', auth: 'public' },
      ],
    });
  });

  async function ask(target: string): Promise<{ status: number; body: string; saw: string | undefined }> {
    const known = seen.length;
    const caller = new RawCaller(gateway.port);
    const answer = await caller.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).answer();
    caller.close();
    return { status: answer.status, body: answer.body.toString(), saw: seen[known] };
  }

  const passing: { what: string; target: string; sent?: string }[] = [
    { what: 'a path that needs nothing', target: "/a/b-c_d~e!$&'()*+,=:@" },
    { what: 'the raw characters of a browser', target: "/a|b[1]^'", sent: "/a%7Cb%5B1%5D%5E'" },
    { what: 'raw UTF-8', target: latin('/café/€'), sent: '/caf%C3%A9/%E2%82%AC' },
    { what: 'a raw byte of Latin-1', target: '/caf\xe9', sent: '/caf%E9' },
    { what: 'an encoded byte of Latin-1', target: '/caf%e9' },
    { what: 'a bare percent sign', target: '/100%/%zz', sent: '/100%25/%25zz' },
    { what: 'a raw backslash', target: '/a\\b', sent: '/a%5Cb' },
    { what: 'a package name', target: '/@scope%2Fname' },
    { what: 'a package name where the slash is data', target: '/npm/@scope%2fname' },
    { what: 'an encoded backslash', target: '/a%5cb' },
    { what: 'an encoded dot', target: '/a%2Eb' },
    { what: 'what Swift encodes', target: '/my%2Dfile%5Fname' },
    { what: 'double encoding', target: '/a%252Fb%2520c' },
    { what: 'joined base URLs', target: '//a//b' },
    { what: 'a slash too many behind a prefix', target: '/api//users', sent: '/users' },
    { what: 'parameters', target: '/a;b=c/d' },
    { what: 'a query with everything', target: '/a?q=100%&x=%zz&y=|[]{}\\^`"<>\'#&z=%' },
    { what: 'a query in UTF-8', target: latin('/a?q=é€') },
    { what: 'a query in Latin-1', target: '/a?q=\xe9' },
  ];
  for (const { what, target, sent = target } of passing) {
    test(`${what} passes: ${target}`, async () => {
      assert.deepEqual(await ask(target), { status: 200, body: 'ok', saw: sent });
    });
  }

  const refused = [
    ...['/admin%2Fx', '//admin/x', '/%61dmin', '/x%2F..%2Fadmin', '/;/admin/x', '/;a=b/admin/x', '/%3b/admin/x'],
    ...[
      '/%2561dmin/x',
      '//host/admin/x',
      '/admin\\x',
      '/admin%5cx',
      '/x/%2e%2e/admin',
      '/x/..;/admin',
      '/x/%252e%252e/admin',
    ],
    ...[
      '/npm/a%5cb',
      '/npm/x/../y',
      '/strict/a%2Fb',
      '/strict//a',
      '/strict/a%2Db',
      '/strict/%e9',
      '/strict/a|b',
      '/a%00b',
    ],
  ];
  for (const target of refused) {
    test(`${target} is 400 and reaches nobody`, async () => {
      const { status, body, saw } = await ask(target);
      assert.equal(status, 400);
      assert.match(body, /unsafe_path/);
      assert.equal(saw, undefined);
    });
  }
});
