/** What policies do with bodies, through real sockets: read them whole, replace them, filter them piece by piece. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { policyFile } from '../support/policy-file.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { echoUpstream, httpUpstream, rawUpstream } from '../support/upstream.ts';

/** Filters as a policy would have them: each writes what it gets in capitals. */
const FILTERS = `
const capitals = (bytes, start, end) => Buffer.from(bytes.latin1Slice(start, end).toUpperCase(), 'latin1');
class Capitals {
  attach(out) { this.out = out; }
  write(bytes, start, end) { return this.out.write(capitals(bytes, start, end), 0, end - start); }
  flush() { this.out.flush(); }
  end(trailers) { this.out.end(trailers); }
  resume() { this.out.resume(); }
  abandon() {}
}
/** Works from events of its own, one piece at a time, as compression does. */
class Later extends Capitals {
  queue = [];
  write(bytes, start, end) { this.queue.push(capitals(bytes, start, end)); this.work(); return this.queue.length < 2; }
  flush() {}
  end() { this.ended = true; this.work(); }
  work() {
    if (this.busy || this.blocked || this.gone) return;
    const next = this.queue.shift();
    if (next === undefined) { if (this.ended) { this.ended = false; this.out.end(null); this.out.flush(); } return; }
    this.busy = true;
    setImmediate(() => {
      this.busy = false;
      if (this.gone) return;
      this.blocked = !this.out.write(next, 0, next.length);
      this.out.flush();
      this.out.resume();
      this.work();
    });
  }
  resume() { this.blocked = false; this.work(); }
  abandon() { this.gone = true; }
}
/** Waits for all of it. */
class Whole extends Capitals {
  parts = [];
  write(bytes, start, end) { this.parts.push(Buffer.from(bytes.subarray(start, end))); return true; }
  flush() {}
  end() { this.done(Buffer.concat(this.parts)); }
}
`;

async function gatewayWith(t: Scope, hooks: string, url: string, more: object = {}): Promise<TestGateway> {
  const file = await policyFile(
    t,
    `import { definePolicy } from 'gatehouse/policy';
${FILTERS}
export default definePolicy({ name: 'bodies', create: () => (${hooks}) });`,
  );
  return startTestGateway(t, {
    services: { s: { instances: [{ url }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public', use: file, ...more }],
  });
}

interface Echo {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly string[];
  readonly body: string;
}

const fieldOf = ({ headers }: Echo, name: string): string | undefined => {
  const at = headers.findIndex((each, i) => i % 2 === 0 && each.toLowerCase() === name);
  return at < 0 ? undefined : headers[at + 1];
};

describe('a request body', () => {
  const READ = `{ requestHead: async (exchange) => {
    const body = await exchange.readBody(100);
    exchange.setUpstreamHeader('X-Read', body.toString('latin1'));
  } }`;

  test('is read whole and sent on, by length, in chunks, and when it comes byte by byte', async (t) => {
    const gateway = await gatewayWith(t, READ, (await echoUpstream(t)).url);
    const byLength = await fetch(gateway.url, { method: 'POST', body: 'twelve bytes' });
    const echo = (await byLength.json()) as Echo;
    assert.deepEqual(
      [echo.body, fieldOf(echo, 'x-read'), fieldOf(echo, 'content-length')],
      ['twelve bytes', 'twelve bytes', '12'],
    );
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.socket.destroy());
    for (const byte of 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n')
      caller.send(byte);
    const answer = await caller.answer();
    assert.match(answer.body.toString(), /"X-Read","abcde".*"body":"abcde"/);
    assert.equal(((await (await fetch(gateway.url)).json()) as Echo).method, 'GET', 'none is empty');
  });

  test('that is longer than the policy takes is 413, declared or not', async (t) => {
    const gateway = await gatewayWith(t, READ, (await echoUpstream(t)).url);
    assert.equal((await fetch(gateway.url, { method: 'POST', body: 'x'.repeat(101) })).status, 413);
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.socket.destroy());
    caller.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n${'x'.repeat(101)}\r\n`);
    assert.equal((await caller.answer()).status, 413);
  });

  test('is asked for with 100 Continue', async (t) => {
    const gateway = await gatewayWith(t, READ, (await echoUpstream(t)).url);
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.socket.destroy());
    caller.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    await until(() => caller.received.includes('100 Continue'), 'the gateway asks for the body');
    caller.send('hi');
    await until(() => caller.received.toString().includes('"body":"hi"'), 'the response comes');
  });

  test('whose client leaves while it is read leaves nothing behind', async (t) => {
    const gateway = await gatewayWith(t, READ, (await echoUpstream(t)).url);
    const caller = new RawCaller(gateway.port);
    caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nsome');
    await new Promise((resolve) => setImmediate(resolve));
    caller.socket.destroy();
    assert.equal((await fetch(gateway.url, { method: 'POST', body: 'next' })).status, 200);
  });

  test('is replaced, and its length with it', async (t) => {
    const hooks = `{ requestHead: async (exchange) => {
      const body = await exchange.readBody(1000);
      exchange.replaceBody(Buffer.from(body.toString() + ' and more'));
      exchange.setUpstreamTarget('/elsewhere', 'q=1');
    } }`;
    const gateway = await gatewayWith(t, hooks, (await echoUpstream(t)).url);
    const echo = (await (await fetch(`${gateway.url}/here`, { method: 'POST', body: 'this' })).json()) as Echo;
    assert.deepEqual([echo.url, echo.body, fieldOf(echo, 'content-length')], ['/elsewhere?q=1', 'this and more', '13']);
  });

  for (const filter of ['Capitals', 'Later']) {
    test(`goes through a filter (${filter}), whatever its size, and is sent in chunks`, async (t) => {
      const hooks = `{ requestHead: (exchange) => { exchange.filterRequestBody(new ${filter}()); } }`;
      let length = 0;
      let isRight = true;
      const upstream = await httpUpstream(t, (request, response) => {
        length = 0;
        request.on('data', (bytes: Buffer) => {
          length += bytes.length;
          if (!bytes.every((byte) => byte === 0x41)) isRight = false;
        });
        request.on('end', () => response.end(`${request.headers['transfer-encoding']}`));
      });
      const gateway = await gatewayWith(t, hooks, upstream.url);
      for (const size of [1, 20_000, 3_000_000]) {
        const answer = await fetch(gateway.url, { method: 'POST', body: 'a'.repeat(size) });
        assert.equal(await answer.text(), 'chunked');
        assert.deepEqual([length, isRight], [size, true]);
      }
    });
  }

  test('is filtered before it is read whole', async (t) => {
    const hooks = `{
      authenticate: (exchange) => { exchange.filterRequestBody(new Later()); },
      requestHead: async (exchange) => {
        exchange.setUpstreamHeader('X-Read', (await exchange.readBody(100)).toString());
      },
    }`;
    const gateway = await gatewayWith(t, hooks, (await echoUpstream(t)).url);
    const echo = (await (await fetch(gateway.url, { method: 'POST', body: 'small' })).json()) as Echo;
    assert.deepEqual([echo.body, fieldOf(echo, 'x-read')], ['SMALL', 'SMALL']);
  });
});

describe('a response body', () => {
  for (const filter of ['Capitals', 'Later']) {
    test(`goes through a filter (${filter}), whatever its size, and loses its length`, async (t) => {
      const hooks = `{ responseHead: (exchange) => { exchange.filterResponseBody(new ${filter}()); } }`;
      const upstream = await httpUpstream(t, (request, response) => {
        const size = Number(request.url?.slice(1));
        response.setHeader('Content-Length', size);
        response.end('a'.repeat(size));
      });
      const gateway = await gatewayWith(t, hooks, upstream.url);
      for (const size of [0, 1, 20_000, 5_000_000]) {
        const answer = await fetch(`${gateway.url}/${size}`);
        assert.equal(answer.headers.get('content-length'), null);
        const text = await answer.text();
        assert.equal(text.length, size);
        assert.ok(/^A*$/.test(text));
      }
      const head = await fetch(`${gateway.url}/10`, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('content-length')], [200, null]);
    });
  }

  test('goes through several filters in their order', async (t) => {
    const hooks = `{ responseHead: (exchange) => {
      const tail = new Capitals();
      tail.write = (bytes, start, end) => tail.out.write(Buffer.from(bytes.latin1Slice(start, end) + '<' + 'b'), 0, end - start + 2);
      exchange.filterResponseBody(new Later());
      exchange.filterResponseBody(tail);
    } }`;
    const upstream = await httpUpstream(t, (_request, response) => response.end('a'));
    const gateway = await gatewayWith(t, hooks, upstream.url);
    assert.equal(await (await fetch(gateway.url)).text(), 'A<b');
  });

  const HOLDING = `{ responseHead: (exchange) => {
    const whole = new Whole();
    exchange.setResponseHeader('X-From', 'policy');
    whole.done = (body) => {
      exchange.setStatus(203);
      exchange.setResponseHeader('X-Late', exchange.responseHeader('x-upstream'));
      setImmediate(() => { whole.out.whole(Buffer.from(body.toString() + '!')); whole.out.flush(); });
    };
    exchange.filterResponseBody(whole, { holdHead: true });
  } }`;
  test('that is read whole may change status, fields and length before the head goes out', async (t) => {
    const upstream = await httpUpstream(t, (_request, response) => {
      response.setHeader('X-Upstream', 'yes');
      response.write('one ');
      setImmediate(() => response.end('two'));
    });
    const gateway = await gatewayWith(t, HOLDING, upstream.url);
    const answer = await fetch(gateway.url);
    assert.deepEqual(
      [answer.status, await answer.text(), answer.headers.get('content-length')],
      [203, 'one two!', '8'],
    );
    assert.deepEqual([answer.headers.get('x-late'), answer.headers.get('x-from')], ['yes', 'policy']);
  });

  test('that breaks off while its head is held is a proper error, without what was set for it', async (t) => {
    const upstream = await rawUpstream(t, (socket) => {
      socket.on('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf');
        setImmediate(() => socket.end());
      });
    });
    const gateway = await gatewayWith(t, HOLDING, upstream.url);
    const answer = await fetch(gateway.url);
    assert.equal(answer.status, 502);
    assert.match(await answer.text(), /upstream_truncated/);
  });

  test('that nobody reads holds the upstream back, and a client that leaves ends all of it', async (t) => {
    const hooks = `{ responseHead: (exchange) => { exchange.filterResponseBody(new Later()); } }`;
    let written = 0;
    let ended = false;
    const upstream = await rawUpstream(t, (socket) => {
      socket.on('close', () => {
        ended = true;
      });
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
        const piece = Buffer.alloc(64 * 1024, 'a');
        const pump = (): void => {
          while (!socket.destroyed) {
            written += piece.length;
            if (!socket.write(piece)) break;
          }
        };
        socket.on('drain', pump);
        pump();
      });
    });
    const gateway = await gatewayWith(t, hooks, upstream.url);
    const caller = new RawCaller(gateway.port);
    caller.socket.pause();
    caller.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => written > 0, 'the response begins');
    let before = -1;
    await until(
      () => {
        const isStill = before === written;
        before = written;
        return isStill && written > 1_000_000;
      },
      'the upstream is held back',
      20_000,
    );
    assert.ok(written < 200_000_000, `${written} bytes`);
    caller.socket.destroy();
    await until(() => ended, 'the upstream connection is closed');
  });
});
