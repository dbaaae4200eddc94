/** An authority that fails, limits, lies or is slow costs one order, and never a certificate that would not do. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { type AcmeServer, startAcmeServer } from '../../../test/support/acme-server.ts';
import { Authority } from '../../../test/support/certificates.ts';
import { suiteScope } from '../../../test/support/scope.ts';
import { httpUpstream } from '../../../test/support/upstream.ts';
import { type AuthoritySettings, makeAccountKey, OrderError, orderCertificate, type Proof } from './authority.ts';
import { parseKept } from './kept.ts';

describe('an order', () => {
  const scope = suiteScope();
  const open = new Map<string, string>();
  let acme: AcmeServer;
  let accountKey: string;
  let served = 0;
  before(async () => {
    acme = await startAcmeServer(scope);
    accountKey = await makeAccountKey();
    const upstream = await httpUpstream(scope, (request, response) => {
      served++;
      const answer = open.get(request.url!.split('/').at(-1)!);
      response.writeHead(answer === undefined ? 404 : 200).end(answer ?? 'nothing');
    });
    // The authority asks a port that it was told at its start.
    const { createServer, connect } = await import('node:net');
    const door = createServer((socket) => {
      const inner = connect(upstream.port, '127.0.0.1');
      for (const each of [socket, inner]) each.on('error', () => {});
      socket.pipe(inner).pipe(socket);
    });
    await new Promise<void>((resolve) => door.listen(acme.httpPort, '127.0.0.1', resolve));
    scope.after(() => void door.close());
  });

  const prover = {
    presented: 0,
    removed: 0,
    present: async ({ token, answer }: Proof) => {
      prover.presented++;
      open.set(token, answer);
    },
    remove: async ({ token }: Proof) => {
      prover.removed++;
      open.delete(token);
    },
  };

  const order = (more: Partial<AuthoritySettings> = {}, name = 'order.example.com', giveUp?: AbortSignal) =>
    orderCertificate(
      {
        directory: acme.directory,
        email: 'ops@example.com',
        ca: acme.ca,
        externalAccount: null,
        key: 'ecdsa',
        responseTimeoutMs: 20_000,
        pendingTimeoutMs: 20_000,
        orderTimeoutMs: 60_000,
        ...more,
      },
      accountKey,
      name,
      'http-01',
      prover,
      giveUp,
    );

  /** The error of an order during which the authority behaves so. */
  async function failure(
    interference: AcmeServer['interference'],
    more: Partial<AuthoritySettings> = {},
    giveUp?: AbortSignal,
  ) {
    acme.interference = interference;
    try {
      await order(more, undefined, giveUp);
    } catch (error) {
      assert.ok(error instanceof OrderError, String(error));
      return error;
    } finally {
      acme.interference = () => undefined;
      assert.equal(prover.removed, prover.presented, 'every proof was taken away again');
    }
    throw new Error(
      `there was a certificate, after ${acme.requests
        .slice(-12)
        .map(({ path }) => path)
        .join(' ')}`,
    );
  }

  test('gives key and chain for the name, again and again with one account, and by RSA', async () => {
    for (const key of ['ecdsa', 'rsa'] as const) {
      const kept = parseKept(await order({ key }));
      assert.ok(kept !== null && kept.notAfterMs > Date.now());
      assert.match(kept.pem, key === 'rsa' ? /BEGIN (RSA )?PRIVATE KEY/ : /BEGIN (EC )?PRIVATE KEY/);
    }
    assert.ok(served > 0);
  });

  test('fails with the words of the authority where it fails, at every step', async () => {
    const problem = { type: 'urn:ietf:params:acme:error:serverInternal', detail: 'the database is away' };
    for (const step of ['/dir', '/nonce-plz', '/sign-me-up', '/order-plz', '/authZ/', '/chalZ/', '/finalize-order/']) {
      const error = await failure(({ path }) =>
        path.startsWith(step) ? { status: 500, body: JSON.stringify(problem) } : undefined,
      );
      assert.ok(error.message.length > 10, `${step}: ${error.message}`);
      if (!['/dir', '/nonce-plz'].includes(step)) assert.match(error.message, /the database is away/, step);
    }
  });

  test('says how long a limiting authority wants to be left alone, and does not believe a year', async () => {
    const limited = (after: string) =>
      failure(({ path }) =>
        path.startsWith('/order-plz')
          ? { status: 429, headers: { 'retry-after': after }, body: '{"detail":"slow down"}' }
          : undefined,
      );
    assert.equal((await limited('3600')).retryAfterMs, 3_600_000);
    assert.equal((await limited('31536000')).retryAfterMs, 7 * 86_400_000);
    assert.equal((await limited('soon')).retryAfterMs, 0);
    const date = await limited(new Date(Date.now() + 600_000).toUTCString());
    assert.ok(date.retryAfterMs > 500_000 && date.retryAfterMs <= 600_000, String(date.retryAfterMs));
  });

  test('takes no certificate for another key, another name, or none at all', async () => {
    const stranger = await Authority.create(scope);
    const other = await stranger.issue('other', ['order.example.com']);
    const swapped = (chain: string) => failure(({ path }) => (path.startsWith('/certZ/') ? () => chain : undefined));
    assert.match((await swapped(other.certPem)).message, /for another key/);
    assert.match((await swapped('<html>busy</html>')).message, /no certificate/);
    assert.match((await swapped('')).message, /certificate/);
    const foreign = await failure(({ path }) =>
      path.startsWith('/authZ/') ? () => '{"status":"pending","identifier":{"value":"order.example.com"}}' : undefined,
    );
    assert.match(foreign.message, /unexpected/);
  });

  test('takes a chain that is whole, without what stands around it', async () => {
    const stranger = await Authority.create(scope);
    const { certPem } = await stranger.issue('more', ['order.example.com']);
    const changed = async (change: (chain: string) => string) => {
      acme.interference = ({ path }) => (path.startsWith('/certZ/') ? change : undefined);
      try {
        return await order();
      } finally {
        acme.interference = () => undefined;
      }
    };
    const cut = certPem.slice(0, 200);
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    for (const more of [cut, broken]) {
      await assert.rejects(
        changed((chain) => chain + more),
        /something that is no certificate/,
      );
    }
    const pem = await changed((chain) => `subject=me\n${chain}\nthanks\n-----BEGIN PRIVATE KEY-----\n`);
    createSecureContext({ cert: pem, key: pem });
    assert.doesNotMatch(pem, /subject=|thanks/);
    assert.equal(pem.match(/PRIVATE KEY/g)?.length, 2);
  });

  test('goes where the authority sends it only over HTTPS, and with no signed request', async () => {
    let askedInPlain = 0;
    const plain = await httpUpstream(scope, (_request, response) => {
      askedInPlain++;
      response.writeHead(200, { 'replay-nonce': 'abc' }).end('{}');
    });
    const url = `http://127.0.0.1:${plain.port}/x`;
    const sent = (step: string, location: string, status = 302) =>
      failure(({ path }) => (path.startsWith(step) ? { status, headers: { location }, body: '' } : undefined));
    for (const step of ['/dir', '/nonce-plz', '/order-plz'])
      assert.match((await sent(step, url)).message, /redirects to "http:.*which is no https URL/, step);
    for (const status of [302, 307, 308]) {
      const { message } = await sent('/order-plz', `${acme.directory}er`, status);
      assert.match(message, /redirects a signed request to "https:/, String(status));
    }
    for (const lie of [url, 'order-plz', '']) {
      const named = await failure(({ path }) =>
        path === '/dir' ? (body) => body.replace(/https:[^"]*order-plz/, lie) : undefined,
      );
      assert.match(named.message, lie === '' ? /newOrder/ : /names ".*which is no https URL/);
    }
    assert.equal(askedInPlain, 0);
    const moved = order({ directory: `${acme.directory}ectory` });
    acme.interference = ({ path }) =>
      path === '/directory' ? { status: 301, headers: { location: acme.directory }, body: '' } : undefined;
    assert.ok(parseKept(await moved) !== null, 'a directory may move');
    acme.interference = () => undefined;
  });

  test('ends at once when it is given up, and takes its proof away', async () => {
    for (const step of ['/order-plz', '/chalZ/', '/finalize-order/', '/my-order/']) {
      const giveUp = new AbortController();
      const error = await failure(
        ({ path }) => {
          if (!path.startsWith(step)) return undefined;
          setTimeout(() => giveUp.abort(), 50);
          return 'silence';
        },
        {},
        giveUp.signal,
      );
      assert.match(error.message, /given up/, step);
      const asked = acme.requests.length;
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assert.equal(acme.requests.length, asked, `${step}: nothing is asked any more`);
    }
  });

  test('ends in time where the authority does not answer, or leaves it pending', async () => {
    const silent = await failure(({ path }) => (path.startsWith('/order-plz') ? 'silence' : undefined), {
      responseTimeoutMs: 300,
    });
    assert.match(silent.message, /did not answer in time/);
    const pending = await failure(
      ({ path }) =>
        path.startsWith('/chalZ/') ? (body) => body.replace(/"status": ?"\w+"/, '"status":"pending"') : undefined,
      { pendingTimeoutMs: 2_000 },
    );
    assert.match(pending.message, /pending for too long/);
  });

  test('proves no name that was not ordered, and ends an order that never would', async () => {
    const { presented } = prover;
    const foreign = await failure(({ path }) =>
      path.startsWith('/authZ/') ? (body) => body.replace('order.example.com', 'bank.example') : undefined,
    );
    assert.match(foreign.message, /asks for a proof of "bank\.example", not of order\.example\.com/);
    assert.equal(prover.presented, presented);
    const late = await failure(({ path }) => (path.startsWith('/order-plz') ? 'silence' : undefined), {
      orderTimeoutMs: 500,
    });
    assert.match(late.message, /did not finish the order in time/);
  });

  test('says why a name was not proved, and who cannot be reached', async () => {
    const { present } = prover;
    prover.present = async () => void prover.presented++;
    try {
      await assert.rejects(order(), /order\.example\.com|challenge|404|unauthorized/i);
    } finally {
      prover.present = present;
    }
    await assert.rejects(order({ directory: 'https://127.0.0.1:1/dir' }), /cannot be reached \(ECONNREFUSED\)/);
    await assert.rejects(order({ ca: null }), /certificate/i);
  });
});
