/**
 * HTTP/2 and gRPC under load: fifty reloads lose nothing, and at the end every request that a service has seen has its
 * response; what was not sent, or not looked at, the client knows (RFC 9113 §6.8).
 */
import assert from 'node:assert/strict';
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2';
import { connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const MESSAGE = Buffer.from([0, 0, 0, 0, 2, 0x6f, 0x6b]);
const SESSIONS = 3;
const STREAMS = 4;
/** Long enough that some are always under way. */
const WORK_MS = 5;

interface Kind {
  readonly name: string;
  readonly protocol: 'h2' | 'grpc';
}
const KINDS: readonly Kind[] = [
  { name: 'HTTP/2', protocol: 'h2' },
  { name: 'gRPC', protocol: 'grpc' },
];

/** Ends each response with trailers; keeps the paths that it has seen. */
async function service(t: Scope, { protocol }: Kind): Promise<{ url: string; seen: Set<string> }> {
  const seen = new Set<string>();
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => void sessions.add(session));
  server.on('stream', (opened, headers) => {
    const stream = opened as ServerHttp2Stream;
    stream.on('error', () => {});
    seen.add(headers[':path']!);
    const contentType = protocol === 'grpc' ? 'application/grpc' : 'text/plain';
    setTimeout(() => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200, 'content-type': contentType }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(MESSAGE);
    }, WORK_MS);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** Calls again and again, several streams on each of several connections, until it is stopped or the port is closed. */
function load(t: Scope, port: number, { protocol }: Kind) {
  const answered = new Set<string>();
  const lost: string[] = [];
  /** Neither sent nor looked at, as the client was told. */
  let refused = 0;
  let isStopped = false;
  let next = 0;
  const sessions = new Set<ClientHttp2Session>();
  const isOver = (session: ClientHttp2Session): boolean => session.closed || session.destroyed;
  const ask = (session: ClientHttp2Session): Promise<void> =>
    new Promise((resolve) => {
      const path = `/test.Load/${next++}`;
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        te: 'trailers',
        'content-type': protocol === 'grpc' ? 'application/grpc' : 'text/plain',
      });
      const parts: Buffer[] = [];
      let [status, trailers]: [number | undefined, string] = [0, ''];
      stream.on('response', (head) => {
        status = head[':status'];
      });
      stream.on('trailers', (fields) => {
        trailers = String(fields['grpc-status']);
      });
      stream.on('data', (part: Buffer) => void parts.push(part));
      stream.on('error', () => {});
      stream.on('close', () => {
        const isWhole = status === 200 && trailers === '0' && Buffer.concat(parts).equals(MESSAGE);
        if (isWhole) answered.add(path);
        else lost.push(`${path}: status ${status}, reset ${stream.rstCode}`);
        resolve();
      });
      stream.end(MESSAGE);
    });
  const one = async (session: ClientHttp2Session): Promise<void> => {
    while (!isStopped && !isOver(session)) {
      try {
        await ask(session);
      } catch {
        // The connection says that it takes no more (GOAWAY).
        refused++;
        return;
      }
    }
  };
  const loops = Array.from({ length: SESSIONS }, async () => {
    while (!isStopped) {
      const session = connect(`http://127.0.0.1:${port}`);
      sessions.add(session);
      session.on('error', () => {});
      const isConnected = await new Promise((resolve) => {
        session.on('connect', () => resolve(true));
        session.on('close', () => resolve(false));
      });
      // The port is closed.
      if (isConnected === false) return;
      await Promise.all(Array.from({ length: STREAMS }, () => one(session)));
      session.close();
    }
  });
  t.after(() => {
    for (const session of sessions) session.destroy();
  });
  return {
    answered,
    lost,
    get refused() {
      return refused;
    },
    until: (count: number) => until(() => answered.size >= count, `${count} responses`, 60_000),
    async stop(): Promise<void> {
      isStopped = true;
      await Promise.all(loops);
    },
    ended: () => Promise.all(loops),
  };
}

const document = (url: string, { protocol }: Kind, gateway: Readonly<Record<string, unknown>> = {}) => ({
  gateway,
  services: { s: { instances: [{ url }], protocol } },
  routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
});

describe('under load', () => {
  for (const kind of KINDS) {
    test(`fifty reloads lose no request over ${kind.name}`, { timeout: 240_000 }, async (t) => {
      const { url } = await service(t, kind);
      const gateway = await startTestGateway(t, document(url, kind, { workers: 2 }));
      const traffic = load(t, gateway.port, kind);
      for (let i = 1; i <= 50; i++) {
        assert.equal((await gateway.reload()).ok, true);
        await traffic.until(i * 10);
      }
      await traffic.stop();
      assert.deepEqual([traffic.lost, traffic.refused], [[], 0]);
      t.diagnostic(`50 reloads, ${traffic.answered.size} requests`);
    });

    test(`the end loses no request over ${kind.name} that the service has seen`, { timeout: 240_000 }, async (t) => {
      const { url, seen } = await service(t, kind);
      const gateway = await startTestGateway(t, document(url, kind));
      const traffic = load(t, gateway.port, kind);
      await traffic.until(200);
      assert.equal(await gateway.stop({ timeoutMs: 60_000 }), 0, 'nothing was cut off');
      await traffic.ended();
      assert.deepEqual(
        [...seen].filter((path) => !traffic.answered.has(path)),
        [],
      );
      // What has no response was not looked at, and the client may send it again.
      for (const problem of traffic.lost) assert.match(problem, /: status 0,/);
      t.diagnostic(`${traffic.answered.size} requests, ${traffic.lost.length} not looked at`);
    });
  }
});
