import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { OutsideServices } from './http.ts';

async function serve(
  context: TestContext,
  listener: RequestListener,
): Promise<{ url: string; ask: OutsideServices['ask'] }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const services = new OutsideServices();
  context.after(() => {
    services.close();
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, ask: services.ask };
}

const limits = { timeoutMs: 5_000, maxBytes: 1_000 };

test('sends method, fields and body, and gives status, fields and body', async (context) => {
  const { url, ask } = await serve(context, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      response.setHeader('X-Seen', `${request.method} ${request.url} ${request.headers['x-a']}`);
      response.setHeader('Set-Cookie', ['a=1', 'b=2']);
      response.writeHead(201).end(body.toUpperCase());
    });
  });
  const answer = await ask({ url: `${url}p?q=1`, method: 'POST', headers: { 'x-a': '1' }, body: 'text', ...limits });
  assert.equal(answer.status, 201);
  assert.equal(answer.body, 'TEXT');
  assert.equal(answer.headers['x-seen'], 'POST /p?q=1 1');
  assert.equal(answer.headers['set-cookie'], 'a=1');
});

test('a bare percent sign of a pasted password stands for itself, also without a name', async (context) => {
  const { url, ask } = await serve(context, (request, response) => response.end(request.headers.authorization));
  for (const [written, read] of [
    ['ada:100%', 'ada:100%'],
    [':to%ken', ':to%ken'],
  ] as const) {
    const { body } = await ask({ url: url.replace('127.0.0.1', `${written}@127.0.0.1`), ...limits });
    assert.equal(Buffer.from(body.slice(6), 'base64').toString(), read);
  }
});

test('a name and password of the URL go into a field, not into the target or a message', async (context) => {
  const { url, ask } = await serve(context, (request, response) => response.end(request.headers.authorization));
  const withPassword = url.replace('127.0.0.1', 'us%40er:pa%3Ass@127.0.0.1');
  const { body } = await ask({ url: withPassword, ...limits });
  assert.equal(Buffer.from(body.slice(6), 'base64').toString(), 'us@er:pa:ss');
  const nobody = withPassword.replace(/:\d+\//, ':1/');
  await assert.rejects(
    ask({ url: nobody, ...limits }),
    (error: Error) => !error.message.includes('pa') && /127.0.0.1/.test(error.message),
  );
});

test('a redirect is an answer', async (context) => {
  let requests = 0;
  const { url, ask } = await serve(context, (_, response) => {
    requests++;
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  assert.equal((await ask({ url, ...limits })).status, 302);
  assert.equal(requests, 1);
});

test('a longer body than the limit is refused, declared or not', async (context) => {
  const { url, ask } = await serve(context, (request, response) => {
    if (request.url === '/declared') response.setHeader('content-length', '2000');
    response.end('x'.repeat(2_000));
  });
  await assert.rejects(ask({ url, ...limits }), /longer than 1000 bytes/);
  await assert.rejects(ask({ url: `${url}declared`, ...limits }), /longer than 1000 bytes/);
});

test('silence ends at the deadline, before and inside the answer', async (context) => {
  const { url, ask } = await serve(context, (request, response) => {
    if (request.url !== '/half') return;
    response.write('half');
  });
  await assert.rejects(ask({ url, ...limits, timeoutMs: 50 }), /no answer within 50 ms/);
  await assert.rejects(ask({ url: `${url}half`, ...limits, timeoutMs: 50 }));
});

test('an answer that is cut off is no answer', async (context) => {
  const { url, ask } = await serve(context, (_, response) => {
    response.setHeader('content-length', '100');
    response.write('half');
    response.socket?.end();
  });
  await assert.rejects(ask({ url, ...limits }));
});
