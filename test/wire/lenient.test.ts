/** Services that do not keep to the grammar of HTTP/1.1, where their configuration says that they may. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { rawUpstream } from '../support/upstream.ts';

interface Row {
  readonly form: string;
  readonly says: string;
  readonly status: number;
  readonly body: string;
  readonly field?: readonly [name: string, value: string | undefined];
}

const rows: Row[] = [
  {
    form: 'lengthBesideChunked',
    says: 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    status: 200,
    body: 'hi',
    field: ['content-length', undefined],
  },
  { form: 'anyStatus', says: 'HTTP/1.1 799 Odd\r\nContent-Length: 2\r\n\r\nhi', status: 799, body: 'hi' },
  {
    form: 'lineFeeds',
    says: 'HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nhi',
    status: 200,
    body: 'hi',
    field: ['x-a', '1'],
  },
  {
    form: 'folding',
    says: 'HTTP/1.1 200 OK\r\nX-A: 1,\r\n\t 2,\r\n 3\r\nContent-Length: 2\r\n\r\nhi',
    status: 200,
    body: 'hi',
    field: ['x-a', '1, 2, 3'],
  },
  {
    form: 'blankBeforeColon',
    says: 'HTTP/1.1 200 OK\r\nX-A \t: 1\r\nContent-Length : 2\r\n\r\nhi',
    status: 200,
    body: 'hi',
    field: ['x-a', '1'],
  },
  {
    form: 'chunkPadding',
    says: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2   \r\nhi\r\n1\t\r\n!\r\n0   \r\n\r\n',
    status: 200,
    body: 'hi!',
  },
  // The ends of the range that the grammar of a status line has (RFC 9112 §4) and no class (RFC 9110 §15).
  ...[600, 999].map((status) => ({
    form: 'anyStatus',
    says: `HTTP/1.1 ${status} Odd\r\nContent-Length: 2\r\n\r\nhi`,
    status,
    body: 'hi',
  })),
];

/** One service for each form, another that may do everything but that, and one that may do nothing. */
async function scene(test: Scope): Promise<{ gateway: TestGateway; asked(): number }> {
  let connections = 0;
  const upstream = await rawUpstream(test, (socket) => {
    connections++;
    socket.on('data', async (bytes: Buffer) => {
      const [, row = '', pace] = /^GET \/(\d+)(\/slow)?/.exec(bytes.toString('latin1')) ?? [];
      const { says } = rows[Number(row)]!;
      if (pace === undefined) socket.write(Buffer.from(says, 'latin1'));
      else for (const letter of says) await new Promise((resolve) => socket.write(letter, 'latin1', resolve));
    });
    socket.on('error', () => {});
  });
  const forms = [...new Set(rows.map(({ form }) => form))];
  const service = (lenient?: readonly string[]) => ({
    instances: [upstream.url],
    ejection: 'off',
    ...(lenient === undefined ? {} : { lenient }),
  });
  const services: Record<string, object> = { strict: service() };
  for (const form of forms) {
    services[form] = service([form]);
    services[`not-${form}`] = service(forms.filter((other) => other !== form));
  }
  const gateway = await startTestGateway(test, {
    services,
    routes: Object.keys(services).map((name) => ({
      match: { path: '/*', hosts: [`${name.toLowerCase()}.example`] },
      service: name,
      auth: 'public',
    })),
  });
  return { gateway, asked: () => connections };
}

async function ask(gateway: TestGateway, service: string, path: string) {
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send(`GET ${path} HTTP/1.1\r\nHost: ${service.toLowerCase()}.example\r\n\r\n`).answer();
  caller.close();
  return answer;
}

describe('a service that may', () => {
  test('is understood in each form that is named, in one piece and in single bytes, and in no other', async (t) => {
    const { gateway } = await scene(t);
    for (const [i, { form, status, body, field }] of rows.entries()) {
      for (const path of [`/${i}`, `/${i}/slow`]) {
        const answer = await ask(gateway, form, path);
        assert.deepEqual([form, answer.status, answer.body.toString()], [form, status, body]);
        if (field !== undefined) assert.equal(answer.headers[field[0]], field[1], form);
      }
      for (const service of [`not-${form}`, 'strict']) {
        const refused = ask(gateway, service, `/${i}`);
        // What is wrong with a body is seen when its head has been sent.
        if (form === 'chunkPadding') await assert.rejects(refused, /before the connection ended/, service);
        else assert.equal((await refused).status, 502, `${form} of ${service}`);
      }
    }
  });

  test('is counted and written to the log, with what is wrong; one that keeps to the grammar is not', async (t) => {
    const { gateway } = await scene(t);
    const counted = async (service: string): Promise<string | undefined> => {
      const text = await (await fetch(`${gateway.url}/metrics`)).text();
      const line = `gatehouse_service_events_total{service="${service}",event="lenientResponses"} `;
      return text
        .split('\n')
        .find((each) => each.startsWith(line))
        ?.slice(line.length);
    };
    for (let i = 0; i < 3; i++) await ask(gateway, 'folding', '/3');
    await ask(gateway, 'lineFeeds', '/4');
    await ask(gateway, 'chunkPadding', `/${rows.findIndex(({ form }) => form === 'chunkPadding')}`);
    assert.equal(await counted('chunkPadding'), '1', 'once a response');
    assert.equal(await counted('folding'), '3');
    assert.equal(await counted('lineFeeds'), '0', 'what is not allowed either is no leniency');
    const says = (line: string): boolean => line.includes('against the grammar of HTTP passed');
    await until(
      () => gateway.logged.some((line) => says(line) && line.includes('"folding"')),
      'the line is written',
      30_000,
    );
    const lines = gateway.logged.filter((line) => says(line) && line.includes('"folding"'));
    assert.equal(lines.length, 1, 'at most one in ten seconds');
    const { service, instance, problem } = JSON.parse(lines[0]!) as Record<string, string>;
    assert.equal(service, 'folding');
    assert.match(instance!, /127\.0\.0\.1/);
    assert.notEqual(problem, '');
  });

  test('is asked on a new connection after a length beside a coding (RFC 9112 §6.3)', async (t) => {
    const { gateway, asked } = await scene(t);
    await ask(gateway, 'lengthBesideChunked', '/0');
    const before = asked();
    await ask(gateway, 'lengthBesideChunked', '/0');
    assert.equal(asked(), before + 1);
    await ask(gateway, 'folding', '/3');
    const kept = asked();
    await ask(gateway, 'folding', '/3');
    assert.equal(asked(), kept, 'other forms keep it');
  });

  test('still may not say two lengths, two codings, or a head without end', async (t) => {
    const forms = rows.map(({ form }) => form);
    const heads = [
      'HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nhi',
      'HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: gzip, chunked\n\nhi',
      'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\r\n\r\n',
      'HTTP/1.1 200 OK\nX: a\0b\n\n',
      'HTTP/1.1 1000 OK\n\n',
      `HTTP/1.1 200 OK\n${'X: y\n'.repeat(20_000)}`,
    ];
    const upstream = await rawUpstream(t, (socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => {
        socket.write(Buffer.from(heads[Number(/^GET \/(\d+)/.exec(bytes.toString('latin1'))![1])]!, 'latin1'));
      });
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [upstream.url], lenient: forms, ejection: 'off' } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    for (const i of heads.keys()) assert.equal((await ask(gateway, 's', `/${i}`)).status, 502, heads[i]!.slice(0, 60));
  });
});
