/** The classes of handlers beside the runtime's own: the same code gives the same with both. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WebFields } from './fields.ts';
import { WebRequest } from './request.ts';

const native = { Headers, Request, Response, fetch };
const { useOwnWebClasses } = await import('./globals.ts');
useOwnWebClasses();
const own = { Headers, Request, Response, fetch };

type Classes = typeof native;

/** What it gives, or the kind of its error. */
async function outcome(run: (classes: Classes) => unknown, classes: Classes): Promise<unknown> {
  try {
    return await run(classes);
  } catch (error) {
    return `throws ${(error as Error).name}`;
  }
}

async function shown(response: Response): Promise<unknown> {
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response;
  const fields = [...response.headers];
  return [status, statusText, ok, type, url, redirected, bodyUsed, fields, await response.text(), response.bodyUsed];
}

const bytes = Uint8Array.from([0xef, 0xbb, 0xbf, 0x61, 0xff, 0x62]);
const half = 'a\ud800b';

const RESPONSES: Readonly<Record<string, (classes: Classes) => unknown>> = {
  nothing: ({ Response }) => shown(new Response()),
  text: ({ Response }) => shown(new Response('tëxt')),
  'an empty text': ({ Response }) => shown(new Response('')),
  bytes: ({ Response }) => shown(new Response(bytes)),
  'a copy of bytes': ({ Response }) => {
    const body = Uint8Array.from([97, 98]);
    const response = new Response(body);
    body[0] = 120;
    return shown(response);
  },
  'half a surrogate pair': ({ Response }) => shown(new Response(half)),
  'a byte order mark': ({ Response }) => shown(new Response('\ufeffa')),
  'a status and fields': ({ Response }) =>
    shown(new Response('x', { status: 404, headers: { 'X-B': ' b ', 'x-a': '1', 'Content-Type': 'a/b' } })),
  'fields as pairs': ({ Response }) =>
    shown(
      new Response('x', {
        headers: [
          ['A', '1'],
          ['a', '2'],
          ['Set-Cookie', 'x'],
          ['set-cookie', 'y'],
        ],
      }),
    ),
  'fields of a Headers': ({ Response, Headers }) => shown(new Response(null, { headers: new Headers({ a: 'b' }) })),
  'a status text': ({ Response }) => shown(new Response('x', { statusText: 'Fine' })),
  'a wrong status': ({ Response }) => new Response('x', { status: 99 }),
  'a status as text': ({ Response }) => shown(new Response('x', { status: '201' as unknown as number })),
  'a body with 204': ({ Response }) => new Response('x', { status: 204 }),
  '204 without': ({ Response }) => shown(new Response(null, { status: 204 })),
  'a wrong field name': ({ Response }) => new Response('x', { headers: { 'a b': 'c' } }),
  'a wrong field value': ({ Response }) => new Response('x', { headers: { a: 'b\nc' } }),
  'a value beyond Latin-1': ({ Response }) => new Response('x', { headers: { a: '€' } }),
  'fields that are none': ({ Response }) => new Response('x', { headers: 7 as unknown as Headers }),
  'a pair of three': ({ Response }) =>
    new Response('x', { headers: [['a', 'b', 'c']] as unknown as [string, string][] }),
  parameters: ({ Response }) => shown(new Response(new URLSearchParams({ a: 'b c' }))),
  'a blob': ({ Response }) => shown(new Response(new Blob(['x'], { type: 'a/b' }))),
  'a stream': ({ Response }) => shown(new Response(new Blob(['xyz']).stream())),
  'a number': ({ Response }) => shown(new Response(7 as unknown as string)),
  json: ({ Response }) => shown(Response.json({ a: [1] }, { status: 201 })),
  'json with a type': ({ Response }) => shown(Response.json(null, { headers: { 'content-type': 'a/json', b: 'c' } })),
  'json of nothing': ({ Response }) => Response.json(undefined),
  error: ({ Response }) => Response.error().type,
  redirect: ({ Response }) => shown(Response.redirect('http://a.example/b', 303)),
  'json of a body': async ({ Response }) => new Response('{"a":1}').json(),
  'json of none': async ({ Response }) => new Response('{').json(),
  'bytes of a text': async ({ Response }) => [...new Uint8Array(await new Response('ä').arrayBuffer())],
  'a blob of a text': async ({ Response }) => (await new Response('ä').blob()).size,
  'a form': async ({ Response }) => [...(await new Response(new URLSearchParams({ a: 'b' })).formData())],
  'a body read twice': async ({ Response }) => {
    const response = new Response('x');
    await response.text();
    return response.text();
  },
  'a body read, then asked for': async ({ Response }) => {
    const response = new Response('x');
    await response.text();
    return [response.bodyUsed, response.body === null, await outcome(() => response.clone(), native)];
  },
  'a body asked for, then read': async ({ Response }) => {
    const response = new Response('abc');
    const { body } = response;
    return [body?.locked, response.bodyUsed, await response.text(), response.bodyUsed, body === response.body];
  },
  'two of one': async ({ Response }) => {
    const response = new Response('abc', { headers: { a: 'b' } });
    const other = response.clone();
    return [await shown(response), await shown(other)];
  },
  'fields that change': async ({ Response }) => {
    const response = new Response('abc', { headers: { a: 'b' } });
    response.headers.set('c', 'd');
    response.headers.append('A', 'e');
    response.headers.delete('content-type');
    const { headers } = response;
    return [headers === response.headers, await shown(response.clone())];
  },
  'one made of another': ({ Response }) => {
    const first = new Response('abc', { status: 201, headers: { a: 'b' } });
    return shown(new Response(first.body, first));
  },
  'a class of its own': ({ Response }) => {
    class Mine extends Response {}
    const mine = new Mine('x');
    return [mine instanceof Mine, mine instanceof Response, new Response('x') instanceof Mine];
  },
  'its own name': ({ Response }) => [Response.name, new Response('x').constructor.name, `${new Response('x')}`],
};

const FIELDS: Readonly<Record<string, (fields: Headers) => unknown>> = {
  order: (fields) => [...fields],
  keys: (fields) => [...fields.keys()],
  values: (fields) => [...fields.values()],
  entries: (fields) => [...fields.entries()],
  'each one': (fields) => {
    const seen: unknown[] = [];
    fields.forEach((value, name, all) => {
      seen.push(value, name, all === fields);
    });
    return seen;
  },
  'in any case': (fields) => [fields.get('A'), fields.has('a'), fields.get('none'), fields.has('none')],
  cookies: (fields) => [fields.get('set-cookie'), fields.getSetCookie()],
  'a cookie set': (fields) => {
    fields.set('Set-Cookie', 'z');
    return [...fields];
  },
  'a cookie deleted': (fields) => {
    fields.delete('Set-Cookie');
    return [fields.has('set-cookie'), fields.getSetCookie()];
  },
  'a number': (fields) => {
    fields.set('n', 7 as unknown as string);
    return fields.get('n');
  },
  'a symbol': (fields) => fields.set('n', Symbol('x') as unknown as string),
  'no name': (fields) => fields.get(''),
  'whitespace around': (fields) => {
    fields.append('w', '\t x y \r\n');
    return fields.get('w');
  },
  'a copy': (fields) => [...new Headers(fields)],
};

describe('a response of a handler is as the runtime’s own', () => {
  for (const [what, run] of Object.entries(RESPONSES))
    test(what, async () => assert.deepEqual(await outcome(run, own), await outcome(run, native)));

  test('and both are instances of each other’s class', () => {
    assert.ok(new own.Response('x') instanceof native.Response);
    assert.ok(new native.Response('x') instanceof own.Response);
    assert.ok(!({} instanceof own.Response));
  });
});

describe('its fields are as the runtime’s own', () => {
  const pairs: [string, string][] = [
    ['b', '2'],
    ['Set-Cookie', 'x=1'],
    ['A', '1'],
    ['set-cookie', 'y=2'],
    ['a', '3'],
  ];
  for (const [what, run] of Object.entries(FIELDS)) {
    test(what, async () => {
      const mine = WebFields.of(pairs) as unknown as Headers;
      assert.deepEqual(await outcome(() => run(mine), own), await outcome(() => run(new Headers(pairs)), native));
    });
  }
});

const REQUESTS: Readonly<Record<string, (request: Request, classes: Classes) => unknown>> = {
  'all of it': (request) => {
    const { method, url, cache, credentials, destination, integrity, keepalive, mode, redirect } = request;
    const { referrer, referrerPolicy, bodyUsed, headers, signal } = request;
    const plain = [method, url, cache, credentials, destination, integrity, keepalive, mode, redirect];
    return [...plain, referrer, referrerPolicy, bodyUsed, [...headers], signal.aborted];
  },
  text: async (request) => [await request.text(), request.bodyUsed],
  json: (request) => request.json(),
  bytes: async (request) => [...new Uint8Array(await request.arrayBuffer())],
  blob: async (request) => (await request.blob()).type,
  'read twice': async (request) => {
    await request.text();
    return request.text();
  },
  'read by pieces': async (request) => {
    let length = 0;
    for await (const piece of request.body!) length += piece.length;
    return [length, request.bodyUsed];
  },
  'read, then asked for': async (request) => {
    await request.text();
    return [request.bodyUsed, request.body?.locked];
  },
  'two of one': async (request) => {
    const other = request.clone();
    return [await request.text(), await other.text(), other.headers.get('a')];
  },
  'one made of it': async (request, { Request }) => {
    const other = new Request(request, { headers: { z: '1' } });
    return [other.url, other.method, [...other.headers], await other.text(), request.bodyUsed];
  },
  'one made with it': async (request, { Request }) => {
    const other = new Request('http://b.example/', request);
    return [other.url, other.method, other.headers.get('a'), await other.text()];
  },
  'an instance': (request, { Request }) => request instanceof Request,
};

describe('a request to a handler is as the runtime’s own', () => {
  const body = '{"ä":1}';
  const pairs: [string, string][] = [
    ['A', '1'],
    ['Content-Type', 'application/json'],
  ];
  const address = 'http://A.example:80/x/../ä?b=c d';
  for (const [what, run] of Object.entries(REQUESTS)) {
    test(what, async () => {
      const mine = new WebRequest({
        method: 'POST',
        hasBody: true,
        signal: new AbortController().signal,
        url: () => address,
        fields: () => ({ names: pairs.map(([name]) => name), values: pairs.map(([, value]) => value) }),
        gather: async () => Buffer.from(body),
        stream: () => new Blob([body]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>,
      }) as unknown as Request;
      const theirs = new native.Request(address, { method: 'POST', headers: pairs, body });
      assert.deepEqual(await outcome(() => run(mine, own), own), await outcome(() => run(theirs, native), native));
    });
  }
});

test('blanks inside a value are read once, those around it do not belong to it', () => {
  const value = `a${' '.repeat(100_000)}b`;
  const sinceMs = performance.now();
  assert.equal(new own.Headers({ a: `\t \r\n${value} \n` }).get('a'), value);
  assert.equal(new own.Headers({ a: ' \t ' }).get('a'), '');
  assert.ok(performance.now() - sinceMs < 1_000);
});
