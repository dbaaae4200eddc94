/**
 * A real certificate authority for tests: Let's Encrypt's own Pebble (strict, rejecting a part of good nonces), with a
 * DNS server that says 127.0.0.1 to every name, and a proxy in front in which a test can make it fail, limit or lie.
 */
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer, get, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { Authority } from './certificates.ts';
import { freePorts } from './ports.ts';
import type { Scope } from './scope.ts';
import { readAll } from './upstream.ts';

export interface AcmeRequest {
  readonly method: string;
  readonly path: string;
}

/**
 * What the proxy does with a request: an answer of its own, nothing at all, or a change of a real answer that is 200.
 */
export type Interference = (request: AcmeRequest) => AcmeAnswer | 'silence' | ((body: string) => string) | undefined;

export interface AcmeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface AcmeServer {
  /** Of the directory, through the proxy. */
  readonly directory: string;
  /** File with the authority of the server's own certificate, and its text. */
  readonly caFile: string;
  readonly ca: string;
  /** Where the authority asks: give these to listeners. */
  readonly httpPort: number;
  readonly tlsPort: number;
  /** Base URL of the management of the DNS server. */
  readonly dns: string;
  readonly requests: AcmeRequest[];
  interference: Interference;
  /** PEM text of the root that issues. */
  root(): Promise<string>;
}

export async function startAcmeServer(test: Scope, more: Readonly<Record<string, unknown>> = {}): Promise<AcmeServer> {
  const authority = await Authority.create(test);
  const own = await authority.issue('acme', ['localhost', '127.0.0.1']);
  const [listen, management, httpPort, tlsPort, dnsPort, dnsManagement] = (await freePorts(6)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const config = join(authority.folder, 'pebble.json');
  await writeFile(
    config,
    JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${listen}`,
        managementListenAddress: `127.0.0.1:${management}`,
        certificate: own.cert,
        privateKey: own.key,
        httpPort,
        tlsPort,
        ocspResponderURL: '',
        externalAccountBindingRequired: false,
        ...more,
      },
    }),
  );
  const off = ['-http01', '', '-https01', '', '-tlsalpn01', '', '-defaultIPv6', ''];
  start(test, 'pebble-challtestsrv', [
    '-dns01',
    `127.0.0.1:${dnsPort}`,
    '-management',
    `127.0.0.1:${dnsManagement}`,
    ...off,
  ]);
  start(test, 'pebble', ['-config', config, '-strict', '-dnsserver', `127.0.0.1:${dnsPort}`], {
    PEBBLE_VA_NOSLEEP: '1',
    PEBBLE_WFE_NONCEREJECT: '20',
    PEBBLE_AUTHZREUSE: '0',
  });
  const { certPem: ca, cert: caFile } = authority.ca;
  await answering(`https://127.0.0.1:${management}/roots/0`, ca);
  await answering(`https://127.0.0.1:${listen}/dir`, ca);

  const server = createHttpsServer({ cert: own.certPem, key: own.keyPem }, (request, response) => {
    const seen = { method: request.method ?? '', path: request.url ?? '' };
    acme.requests.push(seen);
    const wish = acme.interference(seen);
    void readAll(request).then((body) => {
      if (wish === 'silence') return;
      if (typeof wish === 'object') {
        response.writeHead(wish.status, { 'content-type': 'application/problem+json', ...wish.headers }).end(wish.body);
        return;
      }
      const { method = 'GET', url: path, headers } = request;
      const asked = httpsRequest({ host: '127.0.0.1', port: listen, method, path, headers, ca }, (answer) => {
        void readAll(answer).then((bytes) => {
          const { 'content-length': _, ...kept } = answer.headers;
          response.writeHead(answer.statusCode ?? 502, kept);
          // What is refused (a nonce, at random) is not touched.
          const isTouched = wish !== undefined && answer.statusCode === 200;
          response.end(isTouched ? wish(bytes.toString()) : bytes);
        });
      });
      asked.on('error', () => response.destroy());
      asked.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const acme: AcmeServer = {
    directory: `https://127.0.0.1:${port}/dir`,
    ca,
    caFile,
    httpPort,
    tlsPort,
    dns: `http://127.0.0.1:${dnsManagement}`,
    requests: [],
    interference: () => undefined,
    root: () => fetched(`https://127.0.0.1:${management}/roots/0`, ca),
  };
  return acme;
}

function start(
  test: Scope,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): void {
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, ...env } });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.on('error', (error) => {
    throw new Error(`${program} cannot be started: ${error.message}; install it with: apt-get install pebble`);
  });
  test.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
}

const ANSWER_MS = 5_000;

function fetched(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = get(
      url,
      { ca, agent: false, timeout: ANSWER_MS },
      (response) => void readAll(response).then((body) => resolve(body.toString()), reject),
    );
    asked.on('error', reject);
    // Another process may have got the port.
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
  });
}

async function answering(url: string, ca: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await fetched(url, ca);
      return;
    } catch (error) {
      if (attempt >= 1_000) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
