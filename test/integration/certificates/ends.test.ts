/** The end of a certificate from a file, as operators get to know of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Authority } from '../../support/certificates.ts';
import { startTestGateway } from '../../support/gateway.ts';

test('a certificate from a file that ends soon is in metrics, status and log', async (t) => {
  const authority = await Authority.create(t);
  const { cert, key } = await authority.issue('soon', ['soon.example'], 5);
  const gateway = await startTestGateway(t, {
    gateway: {
      port: undefined,
      host: undefined,
      listeners: [
        { name: 'plain', port: 0 },
        { name: 'edge', port: 0, tls: { certificates: [{ cert, key }] } },
      ],
    },
  });
  const get = async (path: string) => await (await fetch(gateway.url + path)).text();
  const source = 'gateway.listeners[1].tls.certificates[0].cert';
  const series = `gatehouse_certificate_expiry_timestamp_seconds{name="soon.example",source="${source}"} `;
  const line = (await get('/metrics')).split('\n').find((each) => each.startsWith(series));
  assert.ok(line !== undefined, 'the metric has it');
  const daysLeft = (Number(line.slice(series.length)) * 1_000 - Date.now()) / 86_400_000;
  assert.ok(daysLeft > 4.9 && daysLeft < 5.1, `${daysLeft} days`);

  const { features } = JSON.parse(await get('/status')) as { features: { certificates: Record<string, unknown>[] } };
  assert.equal(features.certificates.length, 1);
  assert.equal(features.certificates[0]!['source'], source);
  assert.match(String(features.certificates[0]!['problem']), /^ends on \d{4}-\d\d-\d\d, in 5 days$/);
  assert.ok(
    gateway.logged.some((each) => each.includes(source) && each.includes('the certificate ends on')),
    gateway.logged.join(''),
  );
});
