/**
 * Symptom: a mirrored POST reached the shadow service twice when the connection that was reused for it broke.
 * Cause: whether a request may be sent again was decided in four places, and the mirror's said yes to everything.
 * Fix: one rule (resilience/may-resend.ts) for the exchange, for retries and for mirrors.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { echoUpstream, rawUpstream } from '../support/upstream.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

for (const [method, want] of [
  ['POST', 1],
  ['PUT', 2],
] as const) {
  test(`a ${method} whose reused connection breaks reaches the shadow ${want === 1 ? 'once' : 'twice'}`, async (t) => {
    const seen: string[] = [];
    let broken = '';
    const shadow = await rawUpstream(t, (socket) => {
      let heads = 0;
      socket.on('data', (bytes: Buffer) => {
        for (const [, path = ''] of bytes.toString('latin1').matchAll(/^[A-Z]+ (\/\S*) HTTP/gm)) {
          seen.push(path);
          // The first connection that is used again breaks, as if it had been idle too long.
          if (++heads === 2 && broken === '') {
            broken = path;
            socket.resetAndDestroy();
            return;
          }
          socket.write(OK);
        }
      });
    });
    const main = await echoUpstream(t);
    const gateway = await startTestGateway(t, {
      services: {
        main: { instances: [{ url: main.url }] },
        shadow: { instances: [{ url: shadow.url }], retries: { attempts: 0 } },
      },
      routes: [{ match: { path: '/*' }, service: 'main', auth: 'public', mirror: { service: 'shadow' } }],
    });
    const send = async (path: string): Promise<void> => {
      assert.equal((await fetch(`${gateway.url}${path}`, { method, body: 'x' })).status, 200);
      await until(() => seen.includes(path), `the shadow has ${path}`);
    };
    // Whether a connection is idle again when the next copy comes is up to the machine.
    for (let i = 1; broken === '' && i < 100; i++) await send(`/${i}`);
    assert.notEqual(broken, '');
    await until(() => seen.filter((path) => path === broken).length >= want, 'it comes as often as it may');
    // What would be sent once too often would have come before these.
    await send('/after');
    await send('/and-after');
    assert.equal(seen.filter((path) => path === broken).length, want);
  });
}
