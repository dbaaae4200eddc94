/** Clients that others have written talk to a gateway by HTTP/2: curl, nghttp, h2load, python3-h2, Node. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect as connectHttp2 } from 'node:http2';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Authority } from '../support/certificates.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { suiteScope } from '../support/scope.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const run = promisify(execFile);

describe('strangers', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  let secure = 0;
  let clear = 0;
  let ca = '';
  before(async () => {
    const upstream = await httpUpstream(scope, (request, response) => {
      void readAll(request).then((body) => {
        if (request.url === '/big') response.end(Buffer.alloc(1_000_000, 0x61));
        else response.end(`${request.method} ${request.url} ${body.length}`);
      });
    });
    const authority = await Authority.create(scope);
    const { cert, key } = await authority.issue('localhost', ['localhost']);
    ca = authority.ca.cert;
    gateway = await startTestGateway(scope, {
      gateway: {
        port: undefined,
        host: undefined,
        listeners: [
          { host: '127.0.0.1', port: 0, tls: { certificates: [{ cert, key }] } },
          { host: '127.0.0.1', port: 0 },
        ],
      },
      services: { s: { instances: [upstream.url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    [secure, clear] = gateway.addresses.map(({ port }) => port) as [number, number];
  });

  test('curl by ALPN and by prior knowledge', async () => {
    const format = [
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_version} %{http_code} %{size_download}',
      '--resolve',
      `localhost:${secure}:127.0.0.1`,
      '--cacert',
      ca,
    ];
    const curl = async (...args: string[]): Promise<string> => (await run('curl', [...format, ...args])).stdout;
    assert.equal(await curl('--http2', `https://localhost:${secure}/big`), '2 200 1000000');
    assert.equal(await curl('--http1.1', `https://localhost:${secure}/a`), '1.1 200 8');
    assert.equal(await curl('--http2-prior-knowledge', '-d', 'hello', `http://127.0.0.1:${clear}/a`), '2 200 9');
  });

  test('nghttp, with and without padding, in many streams', async () => {
    const { stdout } = await run('nghttp', ['-n', '-s', '-b', '200', '-m', '20', `http://127.0.0.1:${clear}/big`]);
    assert.equal(stdout.match(/ 200 +976K \/big/g)?.length, 20, stdout);
  });

  test('h2load: every request is answered', async () => {
    const { stdout } = await run('h2load', ['-n', '2000', '-c', '4', '-m', '20', `https://127.0.0.1:${secure}/a`]);
    assert.match(stdout, /2000 succeeded, 0 failed, 0 errored/);
    assert.match(stdout, /Application protocol: h2/);
  });

  test("Node's own client, several requests at once", async () => {
    const session = connectHttp2(`http://127.0.0.1:${clear}`);
    const bodies = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const stream = session.request({ ':method': 'POST', ':path': `/n${i}` });
        stream.end(Buffer.alloc(i * 1000));
        const parts: Buffer[] = [];
        for await (const part of stream) parts.push(part as Buffer);
        return Buffer.concat(parts).toString();
      }),
    );
    assert.deepEqual(
      bodies,
      Array.from({ length: 50 }, (_, i) => `POST /n${i} ${i * 1000}`),
    );
    session.close();
  });

  test('python3-h2, which checks every frame', async () => {
    const script = `
import socket, sys, h2.connection, h2.config, h2.events
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding='utf-8'))
c.initiate_connection(); ended = {}; bodies = {}
for i in range(30):
    sid = c.get_next_available_stream_id()
    c.send_headers(sid, [(':method', 'POST'), (':path', f'/p{i}'), (':scheme', 'http'), (':authority', 'a.test'), ('cookie', 'a=1'), ('cookie', 'b=2')])
    c.send_data(sid, b'x' * i, end_stream=True, pad_length=i)
    s.sendall(c.data_to_send()); bodies[sid] = b''
while len(ended) < 30:
    for e in c.receive_data(s.recv(65536)):
        if isinstance(e, h2.events.DataReceived):
            bodies[e.stream_id] += e.data; c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        if isinstance(e, h2.events.StreamEnded): ended[e.stream_id] = 1
    s.sendall(c.data_to_send())
print(all(bodies[2 * i + 1].decode() == f'POST /p{i} {i}' for i in range(30)))`;
    const { stdout } = await run('/usr/bin/python3', ['-c', script, `${clear}`]);
    assert.equal(stdout.trim(), 'True');
  });
});
