/**
 * Rule: what is open for a caller ends with what the caller came in with. Signing out and revoking end WebSockets and
 * event streams at once; a token that expires ends them too, unless the route keeps them until it is revoked.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type Scope, suiteScope } from '../support/scope.ts';
import { bearer, PASSWORD } from './support.ts';

const SECRET = 'a shared secret of more than thirty-two bytes';

/** Takes WebSockets and says nothing; `/events` streams, `/download` is a long body of a known length. */
async function streamingService(scope: Scope): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((asked, response) => {
    if (asked.url?.endsWith('/download') === true) {
      response.writeHead(200, { 'content-length': '100000' });
      response.write('x');
      return;
    }
    const isEvents = asked.url?.endsWith('/events') === true;
    response.writeHead(200, { 'content-type': isEvents ? 'text/event-stream' : 'application/x-ndjson' });
    response.write(isEvents ? 'data: 1\n\n' : '{}\n');
  });
  server.on('upgrade', (_asked, socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

describe('what is open for a caller', () => {
  const scope = suiteScope();
  let gateway: TestGateway;

  before(async () => {
    const url = await streamingService(scope);
    gateway = await startTestGateway(scope, {
      services: { live: { instances: [{ url }] } },
      gateway: { auth: { jwt: { issuers: [{ issuer: 'https://idp.example', secret: SECRET, leeway: '0s' }] } } },
      routes: [
        { match: { path: '/own/*' }, service: 'live', auth: { jwt: {}, apiKey: {} } },
        { match: { path: '/own-kept/*' }, service: 'live', auth: { jwt: {}, streams: 'untilRevoked' } },
        { match: { path: '/kept/*' }, service: 'live', auth: { streams: 'untilRevoked' } },
        { match: { path: '/outside/*' }, service: 'live' },
      ],
      identity: {
        enabled: true,
        firstAdmin: 'off',
        registration: { verifyEmail: 'off' },
        passwords: { memory: '8mb', passes: 1 },
      },
    });
  });

  const api = async (method: string, path: string, body: object | undefined, token: string) => {
    const response = await fetch(`${gateway.url}/api/auth${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token === '' ? {} : bearer(token)) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, string>;
    assert.ok(response.status < 300, `${path}: ${JSON.stringify(answer)}`);
    return answer;
  };
  let people = 0;
  const person = async (): Promise<string> => {
    const body = { email: `p${++people}@example.com`, username: `person${people}`, password: PASSWORD };
    return (await api('POST', '/register', body, ''))['accessToken'] as string;
  };
  const outsideToken = (seconds: number): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('https://idp.example')
      .setSubject('ann')
      .setExpirationTime(new Date(Date.now() + seconds * 1_000))
      .sign(new TextEncoder().encode(SECRET));

  /** Opens a WebSocket; resolves when it is open, `ended` with all bytes after the head when it has ended. */
  async function socketTo(path: string, headers: Record<string, string>): Promise<{ ended: Promise<Buffer> }> {
    const { hostname, port } = new URL(gateway.url);
    const socket = connect(Number(port), hostname);
    const chunks: Buffer[] = [];
    const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more.join('')}\r\n`,
    );
    const all = (): Buffer => Buffer.concat(chunks);
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (all().includes('\r\n\r\n')) resolve();
      });
    });
    assert.match(all().toString('latin1'), /^HTTP\/1\.1 101 /);
    const ended = new Promise<Buffer>((resolve) =>
      socket.on('close', () => resolve(all().subarray(all().indexOf('\r\n\r\n') + 4))),
    );
    scope.after(() => void socket.destroy());
    return { ended };
  }

  /** A response under way; `ended` says whether it broke off. */
  async function streamOf(
    path: string,
    headers: Record<string, string>,
  ): Promise<{ ended: Promise<'broken' | 'whole'> }> {
    const asked = request(`${gateway.url}${path}`, { headers });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(response.statusCode, 200);
    await once(response, 'data');
    response.resume();
    const ended = new Promise<'broken' | 'whole'>((resolve) => {
      response.on('error', () => resolve('broken'));
      response.on('end', () => resolve('whole'));
    });
    scope.after(() => void asked.destroy());
    return { ended };
  }

  const isOpen = (ended: Promise<unknown>): Promise<boolean> =>
    Promise.race([ended.then(() => false), new Promise<boolean>((resolve) => setImmediate(resolve, true))]);

  test('ends at once by signing out: WebSocket with 1008, event streams, NDJSON; a stranger’s stays', async () => {
    const [token, other] = [await person(), await person()];
    const socket = await socketTo('/own/ws', bearer(token));
    const events = await streamOf('/own/events', bearer(token));
    const lines = await streamOf('/own/lines', bearer(token));
    const kept = await socketTo('/own-kept/ws', bearer(token));
    const theirs = await socketTo('/own/ws', bearer(other));
    await api('POST', '/logout', {}, token);
    assert.deepEqual(await socket.ended, Buffer.from([0x88, 2, 0x03, 0xf0]));
    assert.deepEqual(await kept.ended, Buffer.from([0x88, 2, 0x03, 0xf0]), 'kept until revoked, not longer');
    assert.deepEqual([await events.ended, await lines.ended], ['broken', 'broken']);
    assert.ok(await isOpen(theirs.ended));
  });

  test('ends at once when its API key is revoked', async () => {
    const token = await person();
    const key = await api('POST', '/keys', { name: 'k' }, token);
    const socket = await socketTo('/own/ws', { 'x-api-key': key['key'] as string });
    await api('DELETE', `/keys/${key['id']}`, undefined, token);
    assert.deepEqual(await socket.ended, Buffer.from([0x88, 2, 0x03, 0xf0]));
  });

  test('ends when its token expires; a download of a known length does not, nor what is kept until revoked', async () => {
    const token = bearer(await outsideToken(4));
    const socket = await socketTo('/outside/ws', token);
    const events = await streamOf('/outside/events', token);
    const download = await streamOf('/outside/download', token);
    const kept = await socketTo('/kept/ws', token);
    assert.deepEqual(await socket.ended, Buffer.from([0x88, 2, 0x03, 0xf0]));
    assert.equal(await events.ended, 'broken');
    assert.deepEqual([await isOpen(download.ended), await isOpen(kept.ended)], [true, true]);
  });
});
