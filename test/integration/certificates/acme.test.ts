/** `tls: auto` from nothing to a certificate that a client trusts, at a real and strict ACME server. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { PeerCertificate } from 'node:tls';
import { connect } from 'node:tls';
import { createLogger } from '../../../src/base/log.ts';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startGateway } from '../../../src/main.ts';
import type { AcmeServer } from '../../support/acme-server.ts';
import { startAcmeServer } from '../../support/acme-server.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { startPostgres } from '../../support/postgres.ts';
import { suiteScope } from '../../support/scope.ts';
import { until } from '../../support/until.ts';

const SOON_MS = 60_000;

function document(acme: AcmeServer, name: string, options: Record<string, unknown> = {}, ports = acme) {
  return {
    gateway: {
      port: undefined,
      host: undefined,
      listeners: [
        { name: 'plain', host: '127.0.0.1', port: ports.httpPort },
        { name: 'secure', host: '127.0.0.1', port: ports.tlsPort, tls: 'auto' },
      ],
    },
    acme: { server: acme.directory, ca: acme.caFile, ...options },
    routes: [{ match: { path: '/*', hosts: name }, respond: { status: 200, body: 'hello' }, auth: 'public' }],
  };
}

/** What a client that trusts `root` gets: the certificate, or the reason why not. */
function handshake(port: number, servername: string, root: string): Promise<PeerCertificate | Error> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, servername, ca: root }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', resolve);
  });
}

async function issued(gateway: Pick<TestGateway, 'logged'>, count = 1): Promise<void> {
  const done = () => gateway.logged.filter((line) => line.includes('a certificate was issued')).length >= count;
  await until(done, `${count} certificates were issued`, SOON_MS).catch((error: unknown) => {
    throw new Error(`${String(error)}; log:\n${gateway.logged.join('')}`);
  });
}

function logOf(gateway: TestGateway, message: string): Record<string, unknown>[] {
  const lines = gateway.logged.map((line) => JSON.parse(line) as Record<string, unknown>);
  return lines.filter((line) => line['message'] === message);
}

describe('tls: auto', () => {
  const scope = suiteScope();
  let started: Promise<AcmeServer> | undefined;
  const server = (): Promise<AcmeServer> => {
    started ??= startAcmeServer(scope);
    return started;
  };

  for (const kind of ['http-01', 'tls-alpn-01']) {
    test(`a name is proved by ${kind}, and its certificate is trusted`, async (t) => {
      const acme = await server();
      const name = `${kind}.example.com`;
      const gateway = await startTestGateway(t, document(acme, name, { challenges: [kind] }));
      await issued(gateway);
      const root = await acme.root();
      const certificate = await handshake(acme.tlsPort, name, root);
      assert.ok(!(certificate instanceof Error), String(certificate));
      assert.equal(certificate.subjectaltname, `DNS:${name}`);
      const [folder] = await readdir(join(gateway.folder, 'certificates'));
      const file = join(gateway.folder, 'certificates', folder!, `${name}.pem`);
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const metrics = await fetch(`http://127.0.0.1:${acme.httpPort}/metrics`);
      const text = await metrics.text();
      assert.match(
        text,
        new RegExp(`gatehouse_certificate_expiry_timestamp_seconds\\{name="${name}",source="acme"\\} \\d+`),
      );
      assert.match(text, /gatehouse_acme_orders_total\{result="issued"\} 1/);
    });
  }

  test('until there is a certificate every handshake fails, and plain HTTP works', async (t) => {
    const acme = await startAcmeServer(t);
    acme.interference = () => 'silence';
    await startTestGateway(t, document(acme, 'waiting.example.com'));
    const refused = await handshake(acme.tlsPort, 'waiting.example.com', await acme.root());
    assert.ok(refused instanceof Error);
    const answer = await fetch(`http://127.0.0.1:${acme.httpPort}/.well-known/acme-challenge/nobodys`);
    assert.equal(answer.status, 404);
  });

  test('a wildcard is proved by a program that sets a record, which is taken away again', async (t) => {
    const acme = await server();
    const folder = await mkdtemp(join(tmpdir(), 'gh-hook-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const hook = join(folder, 'hook.mjs');
    const seen = join(folder, 'seen.log');
    await writeFile(
      hook,
      `import { appendFileSync } from 'node:fs';
      const [what, host, value] = process.argv.slice(2);
      appendFileSync(${JSON.stringify(seen)}, what + ' ' + host + '\\n');
      const body = JSON.stringify(what === 'set' ? { host: host + '.', value } : { host: host + '.' });
      const answer = await fetch('${acme.dns}/' + (what === 'set' ? 'set-txt' : 'clear-txt'), { method: 'POST', body });
      process.exitCode = answer.ok ? 0 : 1;`,
    );
    const gateway = await startTestGateway(
      t,
      document(acme, '*.wild.example.com', { dns: { command: [process.execPath, hook], wait: 0 } }),
    );
    await issued(gateway);
    const certificate = await handshake(acme.tlsPort, 'a.wild.example.com', await acme.root());
    assert.ok(!(certificate instanceof Error), String(certificate));
    assert.equal(certificate.subjectaltname, 'DNS:*.wild.example.com');
    assert.equal(
      await readFile(seen, 'utf8'),
      'set _acme-challenge.wild.example.com\nremove _acme-challenge.wild.example.com\n',
    );
  });

  test('an authority that wants an account of its own gets the binding', async (t) => {
    const key = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
    const acme = await startAcmeServer(t, {
      externalAccountBindingRequired: true,
      externalAccountMACKeys: { 'kid-1': key },
    });
    const gateway = await startTestGateway(
      t,
      document(acme, 'bound.example.com', { externalAccount: { keyId: 'kid-1', hmacKey: key } }),
    );
    await issued(gateway);
    assert.ok(!gateway.logged.join('').includes(key));
  });

  test('after a restart what is kept is served at once, and nothing is ordered', async (t) => {
    const acme = await server();
    const name = 'kept.example.com';
    const first = await startTestGateway(t, document(acme, name));
    await issued(first);
    const before = await handshake(acme.tlsPort, name, await acme.root());
    await first.stop({ timeoutMs: 0 });
    const asked = acme.requests.length;
    const again = await startTestGateway(t, {
      ...document(acme, name),
      gateway: { ...document(acme, name).gateway, dataDir: first.folder },
    });
    const after = await handshake(acme.tlsPort, name, await acme.root());
    assert.ok(!(before instanceof Error) && !(after instanceof Error), `${before} ${after}`);
    assert.equal(after.fingerprint256, before.fingerprint256);
    // Waits for what looks after certificates.
    await again.stop({ timeoutMs: 0 });
    assert.equal(acme.requests.length, asked);
  });

  test('another authority takes over with a reload, and without `auto` none is asked or watched', async (t) => {
    const acme = await server();
    const name = 'moved.example.com';
    const folder = await mkdtemp(join(tmpdir(), 'gh-moved-'));
    const configFile = join(folder, 'gatehouse.json');
    const logged: string[] = [];
    const write = (wanted: object, listeners: readonly object[]) =>
      writeFile(
        configFile,
        JSON.stringify({ ...wanted, gateway: { dataDir: folder, workers: 1, accessLog: 'off', listeners } }),
      );
    const document1 = document(acme, name, { server: `${acme.directory}?staging` });
    const { listeners } = document1.gateway;
    await write(document1, listeners);
    const log = createLogger('info', (line) => void logged.push(line));
    const gateway = await startGateway({ configFile, env: {}, cwd: folder, log });
    t.after(async () => {
      await gateway.stop({ timeoutMs: 0 });
      await rm(folder, { recursive: true, force: true });
    });
    await issued({ logged });
    const before = await handshake(acme.tlsPort, name, await acme.root());

    await write(document(acme, name), listeners);
    assert.deepEqual((await gateway.reload()).restart, []);
    await issued({ logged }, 2);
    const after = await handshake(acme.tlsPort, name, await acme.root());
    assert.ok(!(before instanceof Error) && !(after instanceof Error), `${before} ${after}`);
    assert.notEqual(after.fingerprint256, before.fingerprint256);
    assert.equal((await readdir(join(folder, 'certificates'))).length, 2);

    const metrics = async () => (await fetch(`http://127.0.0.1:${acme.httpPort}/metrics`)).text();
    assert.match(await metrics(), /gatehouse_certificate_expiry_timestamp_seconds\{/);
    await write(document(acme, name), listeners.slice(0, 1));
    await gateway.reload();
    const text = await metrics();
    assert.doesNotMatch(text, /gatehouse_certificate_expiry_timestamp_seconds\{/);
    assert.match(text, /gatehouse_acme_orders_total\{result="issued"\} 2/);
  });

  test('an operator sees by the command line what is wrong, and has it ordered now', async (t) => {
    const acme = await startAcmeServer(t);
    const name = 'asked.example.com';
    const line = commandLine();
    const configFile = join(line.folder, 'gatehouse.json');
    const wanted = document(acme, name);
    const { listeners } = wanted.gateway;
    await writeFile(configFile, JSON.stringify({ ...wanted, gateway: { workers: 1, accessLog: 'off', listeners } }));
    const detail = 'the zone of example.com is being moved';
    acme.interference = ({ path }) =>
      path.startsWith('/order-plz')
        ? { status: 503, headers: { 'retry-after': '7200', 'replay-nonce': 'x' }, body: JSON.stringify({ detail }) }
        : undefined;
    const logged: string[] = [];
    const log = createLogger('info', (text) => void logged.push(text));
    const gateway = await startGateway({ configFile, env: {}, cwd: line.folder, log });
    t.after(async () => {
      await gateway.stop({ timeoutMs: 0 });
      line.remove();
    });
    await until(() => logged.join('').includes('the order failed'), 'the order failed', SOON_MS);
    const failed = await line.run('certificates');
    assert.equal(failed.code, 0, failed.err);
    assert.match(failed.out, /^NAME +FROM +VALID UNTIL +RENEWED +STATE\n/);
    assert.match(failed.out, /asked\.example\.com +acme +- +- +failed once, next try \d{4}-\S+: .*is being moved\n$/);
    const again = await line.run('certificates', 'order', name);
    assert.equal(again.code, 5);
    assert.match(again.err, /asked\.example\.com was not issued: .*is being moved/);

    acme.interference = () => undefined;
    const done = await line.run('certificates', 'order', 'ASKED.example.com');
    assert.equal(done.code, 0, done.err);
    assert.match(done.out, /^asked\.example\.com is issued, valid until \d{4}-\d\d-\d\d\n$/);
    const before = await handshake(acme.tlsPort, name, await acme.root());
    assert.equal((await line.run('certificates', 'order', name)).code, 0);
    const after = await handshake(acme.tlsPort, name, await acme.root());
    assert.ok(!(before instanceof Error) && !(after instanceof Error), `${before} ${after}`);
    assert.notEqual(after.fingerprint256, before.fingerprint256);
    assert.match((await line.run('certificates')).out, /asked\.example\.com .* good\n$/);

    const unknown = await line.run('certificates', 'order', 'b%2Fx.example');
    assert.equal(unknown.code, 4);
    assert.match(unknown.err, /no listener with tls: auto has "b%2fx\.example"/);
    assert.equal((await line.run('certificates', 'renew')).code, 2);
  });

  test('a gateway stops at once while an authority does not answer', async (t) => {
    const acme = await startAcmeServer(t);
    acme.interference = () => 'silence';
    const gateway = await startTestGateway(t, document(acme, 'stopped.example.com'));
    await until(() => acme.requests.length > 0, 'the authority was asked');
    const startedMs = performance.now();
    await gateway.stop({ timeoutMs: 0 });
    // One response may take 30 s, an order ten minutes.
    assert.ok(performance.now() - startedMs < 20_000);
    assert.equal(logOf(gateway, 'there is no certificate: the order failed').length, 0);
  });

  test('what the authority refuses is in the log in its own words, with the time of the next try', async (t) => {
    const acme = await startAcmeServer(t);
    acme.interference = ({ path }) =>
      path.startsWith('/order-plz')
        ? {
            status: 429,
            headers: { 'retry-after': '7200', 'replay-nonce': 'x' },
            body: JSON.stringify({
              type: 'urn:ietf:params:acme:error:rateLimited',
              detail: 'too many certificates already issued for example.com',
              status: 429,
            }),
          }
        : undefined;
    const gateway = await startTestGateway(t, document(acme, 'limited.example.com'));
    const message = 'there is no certificate: the order failed';
    await until(() => logOf(gateway, message).length > 0, `the order failed: ${gateway.logged.join('')}`, SOON_MS);
    const [line] = logOf(gateway, message);
    assert.match(String(line!['problem']), /too many certificates already issued for example\.com/);
    assert.ok(
      Date.parse(String(line!['nextTry'])) - Date.parse(String(line!['time'])) >= 7_190_000,
      JSON.stringify(line),
    );
  });

  test('gateways with one database share a certificate, and the one that did not order answers the challenge', async (t) => {
    const postgres = await startPostgres();
    t.after(() => postgres.stop());
    const sql = await postgres.database('certificates');
    const acme = await startAcmeServer(t);
    const other = await startAcmeServer(t); // for two more free ports only
    const name = 'shared.example.com';
    const env = { GATEHOUSE_MASTER_KEY: 'a master key of more than thirty-two characters' };
    const shared = { stores: { sql } };
    // Pebble asks the first gateway; the second one orders, because the first has no name to order yet.
    const answering = document(acme, 'nobody.example.com', { challenges: ['http-01'] });
    const first = await startTestGateway(t, { ...answering, ...shared }, env);
    await issued(first);
    const second = await startTestGateway(
      t,
      { ...document(acme, name, { challenges: ['http-01'] }, other), ...shared },
      env,
    );
    await issued(second);
    // A third gateway of the same name finds the certificate and orders nothing.
    await second.stop({ timeoutMs: 0 });
    const asked = acme.requests.length;
    const third = await startTestGateway(t, { ...document(acme, name, {}, other), ...shared }, env);
    const certificate = await handshake(other.tlsPort, name, await acme.root());
    assert.ok(!(certificate instanceof Error), String(certificate));
    assert.equal(acme.requests.length, asked);
    assert.equal(logOf(third, 'a certificate is ordered').length, 0);
  });
});
