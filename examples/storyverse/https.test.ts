/** HTTPS between the processes: the gateway trusts one authority, and shows services a certificate of its own. */
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { serve } from '@hono/node-server';
import { Authority } from '../../test/support/certificates.ts';
import { createLibrary } from './services/library.ts';
import { startStoryVerse, Visitor } from './testing.ts';

test('the library behind TLS takes the gateway alone; a gateway with another authority does not trust it', async (t) => {
  const authority = await Authority.create(t);
  const [own, gateway] = [
    await authority.issue('library', ['localhost']),
    await authority.issue('gateway', ['gateway']),
  ];
  const port = await new Promise<number>((resolve) => {
    const server = serve(
      {
        fetch: createLibrary().fetch,
        hostname: '127.0.0.1',
        port: 0,
        createServer,
        serverOptions: {
          cert: own.certPem,
          key: own.keyPem,
          ca: authority.ca.certPem,
          requestCert: true,
          rejectUnauthorized: true,
        },
      },
      (info: AddressInfo) => resolve(info.port),
    );
    t.after(() => server.close());
  });
  const behindTls = (tls: object) => (document: { services: { library: object } }) => {
    Object.assign(document.services.library, {
      instances: [`https://127.0.0.1:${port}`],
      tls: { serverName: 'localhost', ...tls },
    });
  };
  const mine = { ca: authority.ca.cert, cert: gateway.cert, key: gateway.key };
  const story = await startStoryVerse(t, behindTls(mine));
  assert.equal((await new Visitor(story.url, '203.0.113.1').call('GET', '/docs')).status, 200);

  const other = await Authority.create(t);
  const distrustful = await startStoryVerse(t, behindTls({ ...mine, ca: other.ca.cert }));
  const refused = await new Visitor(distrustful.url, '203.0.113.2').call('GET', '/docs');
  assert.ok([502, 503].includes(refused.status), refused.text);
  const nameless = await startStoryVerse(t, behindTls({ ca: authority.ca.cert }));
  const unknown = await new Visitor(nameless.url, '203.0.113.3').call('GET', '/docs');
  assert.ok([502, 503].includes(unknown.status), unknown.text);
});
