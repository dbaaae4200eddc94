/**
 * What a reload makes of the TLS connections to services. One that changes what TLS asks for ends them, also while a
 * handshake is under way: no request goes over what that handshake makes, whichever protocol it gives and whichever the
 * pool had before. One that changes other things leaves them.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import type { ServerHttp2Stream } from 'node:http2';
import { createSecureServer } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createLogger } from '../../src/base/log.ts';
import { startGateway } from '../../src/main.ts';
import { Authority } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

async function listening(t: Scope, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Case {
  readonly name: string;
  readonly protocol: 'h1' | 'h2' | 'auto';
  /** What an earlier handshake has given, and what the one gives that is under way. */
  readonly before: 'h1' | 'h2' | null;
  readonly gives: 'h1' | 'h2';
}
const CASES: readonly Case[] = [
  { name: 'HTTP/1.1', protocol: 'h1', before: null, gives: 'h1' },
  { name: 'HTTP/2', protocol: 'h2', before: null, gives: 'h2' },
  { name: 'by ALPN, first HTTP/2', protocol: 'auto', before: null, gives: 'h2' },
  { name: 'by ALPN, first HTTP/1.1', protocol: 'auto', before: null, gives: 'h1' },
  { name: 'by ALPN, HTTP/2 where it was HTTP/1.1', protocol: 'auto', before: 'h1', gives: 'h2' },
  { name: 'by ALPN, HTTP/1.1 where it was HTTP/2', protocol: 'auto', before: 'h2', gives: 'h1' },
];

describe('a reload that changes TLS in the middle of a handshake', () => {
  for (const { name, protocol, before, gives } of CASES)
    test(name, async (t) => {
      const authority = await Authority.create(t);
      const [{ certPem, keyPem }, other] = [
        await authority.issue('localhost', ['localhost']),
        await Authority.create(t),
      ];
      const certificate = { cert: certPem, key: keyPem };
      const h2 = createSecureServer(certificate);
      h2.on('stream', (stream: ServerHttp2Stream) => {
        stream.on('error', () => {});
        stream.respond({ ':status': 200, connection_port: `${stream.session!.socket.remotePort}` });
        stream.end('h2');
      });
      const h1 = createHttps({ ...certificate, ALPNProtocols: ['http/1.1'] }, (request, response) => {
        response.setHeader('connection_port', `${request.socket.remotePort}`);
        response.end('h1');
      });
      const ports = { h1: await listening(t, h1), h2: await listening(t, h2 as unknown as Server) };

      // In front of both: which of them it leads to, and whether it holds back what the gateway says first.
      let leadsTo = before ?? gives;
      let release: (() => void) | null = null;
      let isHeld = false;
      const made: number[] = [];
      const open = new Set<Socket>();
      const front = createServer((socket) => {
        const onward = connect(ports[leadsTo], '127.0.0.1');
        onward.on('error', () => socket.destroy());
        onward.on('close', () => socket.destroy());
        socket.on('close', () => onward.destroy());
        open.add(socket);
        onward.once('connect', () => {
          made.push(onward.localPort!);
          onward.pipe(socket);
          if (!isHeld) socket.pipe(onward);
          else release = () => void socket.pipe(onward);
        });
      });
      const port = await listening(t, front);

      const ca = join(authority.folder, 'trusted.pem');
      await writeFile(ca, authority.ca.certPem);
      const gateway = await startTestGateway(t, {
        services: { s: { instances: [`https://localhost:${port}`], protocol, tls: { ca } } },
        routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
      });
      if (before !== null) {
        assert.equal(await (await fetch(gateway.url)).text(), before);
        for (const socket of open) socket.destroy();
        leadsTo = gives;
      }
      isHeld = true;
      const earlier = made.length;
      const asked = fetch(gateway.url);
      await until(() => release !== null, 'a handshake is under way');
      await writeFile(ca, `${await readFile(ca, 'utf8')}${other.ca.certPem}`);
      assert.equal((await gateway.reload()).ok, true);
      isHeld = false;
      release!();
      const response = await asked;
      assert.deepEqual([response.status, await response.text()], [200, gives]);
      assert.equal(response.headers.get('connection_port'), `${made.at(-1)}`);
      assert.equal(made.length - earlier, 2, 'the connection that was being made, and one after the reload');
      // And it is the one that goes on being used.
      assert.equal((await fetch(gateway.url)).headers.get('connection_port'), `${made.at(-1)}`);
    });
});

describe('a reload that changes a service, and nothing of its TLS', () => {
  for (const protocol of ['h1', 'h2', 'auto'] as const)
    test(`keeps its connections: protocol ${protocol}`, async (t) => {
      const authority = await Authority.create(t);
      const { certPem, keyPem } = await authority.issue('localhost', ['localhost']);
      const instance = createSecureServer({ cert: certPem, key: keyPem, allowHTTP1: true }, (_, response) => {
        response.end('fine');
      });
      // That of its HTTP/1.1: a reload takes long on a busy machine.
      Object.assign(instance, { keepAliveTimeout: 600_000 });
      let handshakes = 0;
      instance.on('secureConnection', () => void handshakes++);
      const url = `https://localhost:${await listening(t, instance as unknown as Server)}`;
      const ca = join(authority.folder, 'trusted.pem');
      await writeFile(ca, authority.ca.certPem);

      const configFile = join(authority.folder, 'gatehouse.json');
      const configure = (instances: readonly object[], more: object = {}): Promise<void> =>
        writeFile(
          configFile,
          JSON.stringify({
            gateway: { host: '127.0.0.1', port: 0, workers: 1, spareWorker: false, accessLog: 'off' },
            services: { s: { instances, protocol, tls: { ca }, ...more } },
            routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
          }),
        );
      await configure([{ url, weight: 1 }]);
      const gateway = await startGateway({ configFile, env: {}, log: createLogger('silent') });
      t.after(() => gateway.stop({ timeoutMs: 500 }));
      const ask = async (): Promise<void> => {
        const response = await fetch(`http://127.0.0.1:${gateway.addresses[0]!.port}`);
        assert.deepEqual([response.status, await response.text()], [200, 'fine']);
      };
      const reloadAndAsk = async (instances: readonly object[], more: object = {}): Promise<void> => {
        await configure(instances, more);
        assert.equal((await gateway.reload()).ok, true);
        await ask();
      };

      await ask();
      const changed = { url, weight: 7, zone: 'a', metadata: { rack: '3' } };
      await reloadAndAsk([changed], { timeouts: { firstByte: '9s' }, pool: { maxConnections: 9 } });
      assert.equal(handshakes, 1, 'connections made');
      await writeFile(ca, `${authority.ca.certPem}${(await Authority.create(t)).ca.certPem}`);
      await reloadAndAsk([changed]);
      assert.equal(handshakes, 2, 'one more under other trust');
      await reloadAndAsk([changed], { tls: { ca, serverName: 'localhost' } });
      assert.equal(handshakes, 3, 'and under another name');
    });
});
