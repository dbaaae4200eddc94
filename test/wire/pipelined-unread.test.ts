/**
 * A client that sends many requests ahead and reads nothing: no more responses are made than its socket takes, whoever
 * makes them, and it gets them all when it reads. One that reads is not held up.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const BODY = 'x'.repeat(100_000);
/** 40 MB of responses; the sockets between take some 7 MB. */
const REQUESTS = 400;
const MOST_MADE = 150;
const PATIENCE_MS = 60_000;

for (const path of ['/own', '/proxied'])
  test(`${path}: responses wait for the client, all of them come`, { timeout: 2 * PATIENCE_MS }, async (t) => {
    const upstream = await httpUpstream(t, (_request, response) => response.end(BODY));
    const gateway = await startTestGateway(t, {
      services: { one: { instances: [upstream.url] } },
      routes: [
        { match: { path: '/own' }, auth: 'public', respond: { status: 200, body: BODY } },
        { match: { path: '/proxied' }, service: 'one', auth: 'public' },
      ],
    });
    const made = async (): Promise<number> => {
      const text = await (await fetch(`${gateway.url}/metrics`)).text();
      const counts = text.matchAll(/^gatehouse_requests_total\{[^}]*route="([^"]*)"[^}]*\} (\d+)/gm);
      return [...counts].filter(([, route]) => route?.includes(path)).reduce((sum, [, , n]) => sum + Number(n), 0);
    };
    const socket: Socket = connect(gateway.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.pause();
    const request = `GET ${path} HTTP/1.1\r\nHost: a.example\r\n`;
    socket.write(`${`${request}\r\n`.repeat(REQUESTS - 1)}${request}Connection: close\r\n\r\n`);

    let before = -1;
    await until(
      async () => {
        const now = await made();
        const stands = now > 0 && now === before;
        before = now;
        return stands;
      },
      'no more responses are made',
      PATIENCE_MS,
    );
    assert.ok(before > 0 && before < MOST_MADE, `${before} responses were made for a client that reads none`);

    let bytes = 0;
    let heads = 0;
    await new Promise<void>((resolve, reject) => {
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        heads += chunk.toString('latin1').split('HTTP/1.1 200').length - 1;
      });
      socket.on('end', resolve);
      socket.on('error', reject);
      socket.resume();
    });
    assert.ok(bytes > REQUESTS * BODY.length, `${bytes} bytes, ${heads} heads`);
  });
