/**
 * `gatehouse import`: golden files, a report of every object, output that `check` takes, and no protection lost in
 * silence.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { main } from '../../src/cli/gatehouse.ts';
import { parseNginx } from '../../src/cli/import/nginx-parser.ts';
import { reportOf } from '../../src/cli/import/report.ts';
import { importText } from '../../src/cli/import.ts';
import type { Scope } from '../support/scope.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../support/test-certificate.ts';

const CASES = fileURLToPath(new URL('cases/', import.meta.url));
const FORMATS = {
  kong: '.kong.yaml',
  nginx: '.nginx.conf',
  krakend: '.krakend.json',
  'express-gateway': '.express-gateway.yml',
};
type Format = keyof typeof FORMATS;

async function folderFor(test: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-import-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'certs'));
  await mkdir(join(folder, 'imported'));
  await writeFile(join(folder, 'certs/site.crt'), TEST_CERTIFICATE);
  await writeFile(join(folder, 'certs/site.key'), TEST_KEY);
  return folder;
}

async function run(folder: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  let out = '';
  let err = '';
  const code = await main(args, {
    cwd: folder,
    env,
    signals: new EventEmitter(),
    exit: () => {},
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

interface Imported {
  readonly routes: readonly {
    readonly name: string;
    readonly match: { readonly path: unknown };
    readonly service?: string;
    readonly respond: { readonly status: number };
  }[];
}

/** The document that a text becomes, with the values of its variables, after `check` has taken it. */
async function imported(test: Scope, format: Format, text: string) {
  const folder = await folderFor(test);
  await writeFile(join(folder, 'source'), text);
  const { code, out, err } = await run(folder, ['import', format, 'source']);
  assert.equal(err, '', `${out}${err}`);
  const env: Record<string, string> = {};
  const written = join(folder, 'imported/gatehouse.env');
  const lines = existsSync(written) ? (await readFile(written, 'utf8')).trim().split('\n') : [];
  for (const line of lines)
    env[line.slice(0, line.indexOf('='))] = JSON.parse(line.slice(line.indexOf('=') + 1)) as string;
  const checked = await run(folder, ['check', 'imported/gatehouse.yaml'], env);
  assert.equal(checked.code, 0, checked.err);
  const yaml = await readFile(join(folder, 'imported/gatehouse.yaml'), 'utf8');
  return {
    code,
    out,
    yaml,
    report: await readFile(join(folder, 'imported/import-report.md'), 'utf8'),
    document: parse(yaml) as Imported,
  };
}

describe('golden files', async () => {
  for (const file of (await readdir(CASES)).filter((name) => !name.endsWith('.golden'))) {
    const format = (Object.keys(FORMATS) as Format[]).find((name) => file.endsWith(FORMATS[name]));
    if (format === undefined) continue;
    test(file, async (t) => {
      const { yaml, report } = await imported(t, format, await readFile(join(CASES, file), 'utf8'));
      const got = `${yaml}\n${report}`.replaceAll('source', basename(file));
      const golden = join(CASES, `${file}.golden`);
      if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(golden, got);
      assert.equal(got, await readFile(golden, 'utf8'));
    });
  }
});

describe('what protects', () => {
  const kong = (plugin: object): string =>
    JSON.stringify({
      services: [{ name: 's', url: 'http://a.example', routes: [{ name: 'r', paths: ['/r'], plugins: [plugin] }] }],
    });
  const unknown = [
    'jwt',
    'oauth2',
    'hmac-auth',
    'ldap-auth',
    'openid-connect',
    'mtls-auth',
    'session',
    'basic-auth',
    'opa',
    'rate-limiting-advanced',
    'request-validator',
    'pre-function',
    'a-plugin-of-somebody',
  ];
  for (const name of unknown) {
    test(`Kong's ${name} closes the route and is in the report`, async (t) => {
      const { code, document, report, yaml } = await imported(t, 'kong', kong({ name, config: {} }));
      assert.equal(code, 2);
      assert.equal(document.routes[0]!.respond.status, 501);
      assert.equal(document.routes[0]!.service, undefined);
      assert.match(report, new RegExp(`routes/r/plugins/${name}`));
      assert.match(yaml, /# CLOSED\. /);
    });
  }

  test('a plugin of a service or of all services closes every route below', async () => {
    for (const document of [
      {
        services: [{ name: 's', url: 'http://a', plugins: [{ name: 'jwt' }], routes: [{ name: 'r', paths: ['/r'] }] }],
      },
      {
        plugins: [{ name: 'jwt' }],
        services: [{ name: 's', url: 'http://a', routes: [{ name: 'r', paths: ['/r'] }] }],
      },
      {
        plugins: [{ name: 'jwt', service: 's' }],
        services: [{ name: 's', url: 'http://a', routes: [{ name: 'r', paths: ['/r'] }] }],
      },
      {
        plugins: [{ name: 'jwt', route: { name: 'r' } }],
        services: [{ name: 's', url: 'http://a' }],
        routes: [{ name: 'r', service: { name: 's' }, paths: ['/r'] }],
      },
    ]) {
      const draft = await importText('kong', JSON.stringify(document));
      assert.deepEqual(
        draft.routes.map(({ respond }) => respond?.['status']),
        [501],
        JSON.stringify(document),
      );
    }
  });

  test('a plugin that is turned off protects nothing', async () => {
    const draft = await importText('kong', kong({ name: 'jwt', enabled: false }));
    assert.equal(draft.routes[0]!.service, 's');
  });

  for (const guard of [
    'auth_basic "x"',
    'auth_request /auth',
    'auth_jwt "x"',
    'limit_conn zone 1',
    'secure_link $arg_md5',
    'satisfy any',
  ]) {
    test(`nginx's ${guard} closes the location, also when the server or http has it`, async () => {
      const at = (level: string): string => {
        const [http, server, location] = ['http', 'server', 'location'].map((name) =>
          name === level ? `${guard};` : '',
        );
        return `http { ${http} server { listen 80; ${server} location / { ${location} proxy_pass http://127.0.0.1:1; } } }`;
      };
      for (const level of ['http', 'server', 'location']) {
        const draft = await importText('nginx', at(level));
        assert.equal(draft.routes[0]!.respond?.['status'], 501, level);
      }
    });
  }

  test('a guarded route that cannot be matched closes the wider ones that would take its requests', async () => {
    const kong = await importText(
      'kong',
      JSON.stringify({
        services: [
          {
            name: 's',
            url: 'http://a',
            routes: [
              { name: 'guarded', paths: ['~/admin/(?=x).*'], plugins: [{ name: 'jwt' }] },
              { name: 'wide', paths: ['/'] },
              { name: 'beside', paths: ['/shop'] },
            ],
          },
        ],
      }),
    );
    assert.deepEqual(
      kong.routes.map(({ name, service }) => [name, service]),
      [
        ['wide', undefined],
        ['beside', 's'],
      ],
    );
    const nginx = await importText(
      'nginx',
      'server { listen 80; location ~ "/(?=\\.git)" { deny all; } location / { proxy_pass http://127.0.0.1:1; } }',
    );
    assert.equal(nginx.routes[0]!.respond?.['status'], 501);
  });

  test('an expression without case keeps both cases, so that a guard has no back door', async () => {
    const draft = await importText(
      'nginx',
      'server { listen 80; location ~* \\.(php|In[ci])$ { return 403; } location / { proxy_pass http://127.0.0.1:1; } }',
    );
    const { regex } = draft.routes[0]!.match['path'] as { regex: string };
    for (const path of ['/a.php', '/a.PHP', '/x/b.inC', '/.InI'])
      assert.match(path, new RegExp(`^(?:${regex})$`), path);
    assert.doesNotMatch('/a.phtml', new RegExp(`^(?:${regex})$`));
  });

  test('what a server refuses or decides goes before its locations', async () => {
    const of = async (text: string) =>
      (await importText('nginx', `server { listen 80; ${text} location / { proxy_pass http://127.0.0.1:1; } }`))
        .routes[0]!;
    assert.equal((await of('return 403;')).respond?.['status'], 403);
    assert.equal((await of('if ($http_x = "") { return 403; }')).respond?.['status'], 501);
    assert.equal((await of('rewrite ^/a /b;')).respond?.['status'], 501);
  });

  test('address rules whose order means more than a list close the location', async () => {
    const rules = (text: string) =>
      importText('nginx', `server { listen 80; location / { ${text} proxy_pass http://127.0.0.1:1; } }`);
    assert.deepEqual((await rules('allow 10.0.0.0/8; deny all;')).routes[0]!['ipFilter'], { allow: ['10.0.0.0/8'] });
    assert.deepEqual((await rules('deny 10.0.0.1; allow all;')).routes[0]!['ipFilter'], { deny: ['10.0.0.1'] });
    assert.equal((await rules('deny 10.0.0.1; allow 10.0.0.0/8; deny all;')).routes[0]!.respond?.['status'], 501);
    assert.deepEqual((await rules('deny all;')).routes[0]!['ipFilter'], { allow: [] });
  });
});

/** What becomes of the first route, or of the one of this name: its service, or the status that it answers. */
async function became(format: Format, text: string | object, name?: string): Promise<unknown> {
  const draft = await importText(format, typeof text === 'string' ? text : JSON.stringify(text));
  const route = name === undefined ? draft.routes[0] : draft.routes.find((each) => each.name === name);
  return route === undefined ? 'nothing' : (route.service ?? route.respond?.['status']);
}

describe('what protects in nginx, by other words', () => {
  const inLocation = (text: string): string =>
    `server { listen 80; location /x { ${text} proxy_pass http://127.0.0.1:1; } }`;

  for (const [text, status] of [
    ['internal;', 404],
    ['limit_except GET { deny all; }', 501],
    ['modsecurity on;', 501],
    ['a_module_of_somebody on;', 501],
    ['access_by_lua_block { local t = { a = "}" } -- }\n if t.a then ngx.exit(403) end }', 501],
    ['modsecurity off;', '127'],
    ['expires 1d; proxy_cache_valid 200 1h;', '127'],
  ] as const) {
    test(`${text.split('\n')[0]} becomes ${status}`, async () => {
      const got = await became('nginx', inLocation(text));
      assert.equal(status === '127' ? typeof got : got, status === '127' ? 'string' : status);
    });
  }

  test('directives that are not known close what they stand around', async () => {
    for (const level of ['http', 'server']) {
      const [http, server] = ['http', 'server'].map((name) => (name === level ? 'app_protect_enable on;' : ''));
      const text = `http { ${http} server { listen 80; ${server} location / { proxy_pass http://127.0.0.1:1; } } }`;
      assert.equal(await became('nginx', text), 501, level);
    }
    assert.equal(await became('nginx', `http { include security.conf; ${inLocation('')} }`), 501);
  });

  test('a field that nginx sets is not taken from clients where its variable cannot be carried', async () => {
    const draft = await importText(
      'nginx',
      inLocation('proxy_set_header X-User $remote_user; proxy_set_header X-Who "$remote_addr {a}";'),
    );
    assert.deepEqual(draft.routes[0]!['headers'], {
      request: { remove: ['X-User'], set: { 'X-Who': '{request.address} {{a}}' } },
    });
  });

  test('lists of addresses hold only where the address of a client is the one that nginx sees', async () => {
    const of = (before: string, header = 'X-Forwarded-For'): Promise<unknown> =>
      became(
        'nginx',
        `http { ${before} real_ip_header ${header}; server { listen 80; location / { allow 10.0.0.0/8; deny all; proxy_pass http://127.0.0.1:1; } } }`,
      );
    assert.equal(await of('set_real_ip_from 192.0.2.0/24;', 'CF-Connecting-IP'), 501);
    assert.equal(await of('set_real_ip_from unix:;'), 501);
    assert.equal(typeof (await of('set_real_ip_from 192.0.2.0/24;')), 'string');
    const draft = await importText(
      'nginx',
      'http { set_real_ip_from 192.0.2.0/24; real_ip_header X-Forwarded-For; server { listen 80; location / { proxy_pass http://127.0.0.1:1; } } }',
    );
    assert.deepEqual(draft.gateway['trustProxy'], ['192.0.2.0/24']);
  });

  test('what is only for one address has a listener of its own', async () => {
    const draft = await importText(
      'nginx',
      'server { listen 8080; location / { return 404; } } server { listen 127.0.0.1:8080; location / { proxy_pass http://127.0.0.1:1; } }',
    );
    assert.deepEqual(
      draft.routes.map(({ match, service }) => [match['listener'], service !== undefined]),
      [
        [['port-8080'], false],
        [['port-8080-127.0.0.1'], true],
      ],
    );
  });

  test('servers of a listener never get less of a client than they ask for', async () => {
    const server = (name: string, text: string): string =>
      `server { listen 8443 ssl; server_name ${name}.example; ssl_certificate c.pem; ssl_certificate_key k.pem; ${text} location / { proxy_pass http://127.0.0.1:1; } }`;
    const asked = async (...servers: string[]) => {
      const draft = await importText('nginx', servers.join('\n'));
      const [{ tls }] = draft.gateway['listeners'] as [{ tls?: Record<string, unknown> }];
      const open = draft.routes.filter(({ service }) => service !== undefined).map(({ name }) => name.slice(0, 1));
      return [tls?.['clientCertificate'], String(tls?.['clientCa']).replace(/^.*\//, ''), [...new Set(open)].join('')];
    };
    const on = 'ssl_verify_client on; ssl_client_certificate';
    const optional = 'ssl_verify_client optional; ssl_client_certificate';
    assert.deepEqual(await asked(server('a', `${on} one.pem;`), server('b', `${optional} one.pem;`)), [
      'required',
      'one.pem',
      'adb',
    ]);
    assert.deepEqual(await asked(server('a', `${on} one.pem;`), server('b', `${on} two.pem;`)), [
      'required',
      'one.pem',
      'ad',
    ]);
    assert.deepEqual(await asked(server('b', ''), server('a', `${on} one.pem;`)), ['required', 'one.pem', 'bda']);
    assert.equal((await asked(server('a', 'ssl_verify_client optional_no_ca;')))[2], '');
    assert.equal((await asked(server('a', `${on} one.pem; ssl_crl revoked.pem;`)))[2], '');
    const bare = server('a', `${on} one.pem;`).replace('c.pem', '$name.pem');
    assert.equal((await asked(bare))[2], '', 'a listener without certificate asks for none');
  });

  test('a file that includes itself is said at once, also by way of others', async (t) => {
    const folder = await folderFor(t);
    for (let i = 0; i < 10; i++) await writeFile(join(folder, `${i}.conf`), 'include *.conf;');
    await writeFile(join(folder, 'nginx.conf'), 'http { include *.conf; server { listen 80; } }');
    const { code, err } = await run(folder, ['import', 'nginx', 'nginx.conf']);
    assert.equal(code, 5);
    assert.match(err, /includes itself/);
  });
});

describe('what protects in Kong, by other words', () => {
  const service = { name: 's', id: 'f1', url: 'http://127.0.0.1:1' };
  const route = { name: 'r', id: 'a1', service: 'f1', paths: ['/r'] };
  const limited = { minute: 5 };

  for (const [what, document] of Object.entries({
    'plugins that name a route by its id': {
      services: [service],
      routes: [route],
      plugins: [{ name: 'jwt', route: 'a1' }],
    },
    'plugins that name a service by its id': {
      services: [service],
      routes: [route],
      plugins: [{ name: 'jwt', service: { id: 'f1' } }],
    },
    'plugins whose route is not in the file': {
      services: [service],
      routes: [route],
      plugins: [{ name: 'jwt', route: 'elsewhere' }],
    },
    'a configuration that is not in the file': {
      services: [service],
      routes: [{ ...route, plugins: [{ name: 'ip-restriction', _config: 'nets' }] }],
    },
    'an address list without addresses': {
      services: [service],
      routes: [{ ...route, plugins: [{ name: 'ip-restriction', config: {} }] }],
    },
    'limits of a month beside those of a minute': {
      services: [service],
      routes: [{ ...route, plugins: [{ name: 'rate-limiting', config: { ...limited, month: 100 } }] }],
    },
    'requests that are sent elsewhere': {
      services: [service],
      routes: [{ ...route, plugins: [{ name: 'request-transformer', config: { replace: { uri: '/public' } } }] }],
    },
    'bodies of which something is taken': {
      services: [service],
      routes: [{ ...route, plugins: [{ name: 'response-transformer', config: { remove: { json: ['secret'] } } }] }],
    },
    'groups that are denied beside those that are allowed': {
      services: [service],
      routes: [{ ...route, plugins: [{ name: 'acl', config: { allow: ['a'], deny: ['b'] } }] }],
    },
  }))
    test(`${what} close the route`, async () => assert.equal(await became('kong', document), 501));

  test('a service that is turned off has no routes', async () => {
    const draft = await importText(
      'kong',
      JSON.stringify({ services: [{ ...service, enabled: false }], routes: [route] }),
    );
    assert.deepEqual(draft.routes, []);
  });

  test('a guard that stands in a merged mapping is there', async () => {
    const text = `
x-guarded: &guarded { plugins: [{ name: jwt }] }
services:
  - name: s
    url: http://127.0.0.1:1
    routes: [{ name: r, paths: [/r], <<: *guarded }]`;
    assert.equal(await became('kong', text), 501);
  });

  test('before 3.0 a path with signs of expressions is one', async () => {
    const draft = await importText(
      'kong',
      JSON.stringify({
        _format_version: '1.1',
        services: [
          {
            ...service,
            routes: [
              { name: 'r', paths: ['/users/\\d+$'], plugins: [{ name: 'jwt' }] },
              { name: 'all', paths: ['/'] },
            ],
          },
        ],
      }),
    );
    assert.deepEqual(draft.routes[0]!.match['path'], { regex: '/users/\\d+' });
    assert.ok((draft.routes[0]!.priority ?? 0) > (draft.routes[1]!.priority ?? 0), 'and goes before prefixes');
  });

  test('a guarded prefix is guarded beyond its last segment too', async (t) => {
    const { document } = await imported(
      t,
      'kong',
      JSON.stringify({
        services: [
          {
            ...service,
            routes: [
              { name: 'admin', paths: ['/admin'], plugins: [{ name: 'jwt' }] },
              { name: 'all', paths: ['/'] },
            ],
          },
        ],
      }),
    );
    const beyond = document.routes.find(({ name }) => name === 'admin and beyond');
    assert.equal(beyond?.respond.status, 501);
    assert.deepEqual(beyond?.match.path, { regex: '/admin[^/][\\s\\S]*' });
  });

  test('keys of consumers with limits of their own are left out, wherever these stand', async () => {
    const consumers = [
      { username: 'alice', groups: [{ name: 'gold' }], keyauth_credentials: [{ key: '0123456789abcdef' }] },
    ];
    const routes = [{ ...route, plugins: [{ name: 'key-auth' }] }];
    for (const more of [
      {
        plugins: [{ name: 'rate-limiting', consumer_group: 'gold', config: limited }],
        consumer_groups: [{ name: 'gold' }],
      },
      { consumer_groups: [{ name: 'gold', plugins: [{ name: 'rate-limiting', config: limited }] }] },
      {
        routes: [
          {
            ...routes[0],
            plugins: [{ name: 'key-auth' }, { name: 'rate-limiting', consumer: 'alice', config: limited }],
          },
        ],
      },
    ])
      assert.equal(
        await became('kong', { services: [service], routes, consumers, ...more }),
        501,
        JSON.stringify(more),
      );
    assert.equal(
      await became('kong', { services: [service], routes, consumers, consumer_groups: [{ name: 'gold' }] }),
      's',
    );
  });

  test('a reference to a secret is no key', async () => {
    for (const key of ['{vault://env/office-key}', `$${'{{ env "DECK_OFFICE_KEY" }}'}`]) {
      const consumers = [{ username: 'office', keyauth_credentials: [{ key }] }];
      assert.equal(
        await became('kong', {
          services: [service],
          routes: [{ ...route, plugins: [{ name: 'key-auth' }] }],
          consumers,
        }),
        501,
      );
    }
  });

  test('text that looks like a variable stays text', async (t) => {
    const { yaml } = await imported(
      t,
      'kong',
      JSON.stringify({
        services: [
          {
            ...service,
            routes: [
              {
                name: 'r',
                paths: ['/r'],
                plugins: [{ name: 'request-termination', config: { body: `in $${'{HOME}'}` } }],
              },
            ],
          },
        ],
      }),
    );
    assert.match(yaml, /in \$\$\{HOME\}/);
  });
});

describe('what protects in KrakenD and Express Gateway, by other words', () => {
  const krakend = (endpoint: object, root: object = {}): object => ({
    version: 3,
    endpoints: [{ endpoint: '/a', backend: [{ host: ['http://127.0.0.1:1'], url_pattern: '/a' }], ...endpoint }],
    ...root,
  });
  const validator = { issuer: 'https://i.example', jwk_url: 'https://i.example/keys', audience: ['a'] };

  for (const [what, document] of Object.entries({
    'a plugin of the whole gateway': krakend({}, { extra_config: { 'plugin/http-server': { name: ['ip-filter'] } } }),
    'API keys of the whole gateway': krakend({}, { extra_config: { 'auth/api-keys': { keys: [] } } }),
    'certificates of clients': krakend({}, { tls: { enable_mtls: true } }),
    'a program': krakend({ extra_config: { 'modifier/lua-proxy': { pre: 'x' } } }),
    'fields that are taken out of a list': krakend({ extra_config: { proxy: { flatmap_filter: [{ type: 'del' }] } } }),
    'claims that the service believes': krakend({
      extra_config: { 'auth/validator': { ...validator, propagate_claims: [['sub', 'x-user']] } },
    }),
  }))
    test(`KrakenD: ${what} closes the endpoint`, async () => assert.equal(await became('krakend', document), 501));

  test('KrakenD: endpoints that ask for other audiences do not share one', async () => {
    const at = (endpoint: string, audience: string): object => ({
      endpoint,
      backend: [{ host: ['http://127.0.0.1:1'] }],
      extra_config: { 'auth/validator': { ...validator, audience: [audience] } },
    });
    const draft = await importText(
      'krakend',
      JSON.stringify({ endpoints: [at('/a', 'one'), at('/b', 'two'), at('/c', 'one')] }),
    );
    const audiences = draft.routes.map(({ auth }) => {
      const { jwt } = auth as { jwt: { issuers: [string] } };
      return (draft.issuers[jwt.issuers[0]] as { audience: string[] }).audience[0];
    });
    assert.deepEqual(audiences, ['one', 'two', 'one']);
  });

  test('Express Gateway: a guarded path is guarded in any case, with a slash, and as any text behind a star', async () => {
    const draft = await importText(
      'express-gateway',
      JSON.stringify({
        apiEndpoints: { admin: { host: '*', paths: ['/admin', '/staff*'] }, all: { host: '*' } },
        serviceEndpoints: { s: { url: 'http://127.0.0.1:1' } },
        pipelines: {
          guarded: {
            apiEndpoints: ['admin'],
            policies: [{ jwt: null }, { proxy: [{ action: { serviceEndpoint: 's' } }] }],
          },
          open: { apiEndpoints: ['all'], policies: [{ proxy: [{ action: { serviceEndpoint: 's' } }] }] },
        },
      }),
    );
    const closed = draft.routes.filter(({ respond }) => respond?.['status'] === 501);
    const taken = (path: string): boolean =>
      closed.some(({ match }) => new RegExp(`^(?:${(match['path'] as { regex: string }).regex})$`).test(path));
    for (const path of ['/admin', '/ADMIN/', '/Staff', '/staffroom/7']) assert.ok(taken(path), path);
    assert.ok(!taken('/shop'));
    assert.ok(closed.every(({ priority = 0 }) => priority > (draft.routes.at(-1)!.priority ?? 0)));
  });

  test('Express Gateway: a guarded path that cannot be carried closes those that would take its requests', async () => {
    const document = {
      apiEndpoints: { admin: { pathRegex: '^/admin.*' }, all: { host: '*' } },
      serviceEndpoints: { s: { url: 'http://127.0.0.1:1' } },
      pipelines: {
        guarded: { apiEndpoints: ['admin'], policies: [{ jwt: null }] },
        open: { apiEndpoints: ['all'], policies: [{ proxy: [{ action: { serviceEndpoint: 's' } }] }] },
      },
    };
    assert.equal(await became('express-gateway', document), 501);
  });
});

test('input that is no configuration is said in one line', async (t) => {
  const folder = await folderFor(t);
  const cases: readonly (readonly [string, Format, string | Buffer, RegExp])[] = [
    ['binary', 'nginx', Buffer.from([0, 1, 2, 255, 254, 200]), /it is no text in UTF-8/],
    ['zeros', 'nginx', 'server {\n\0 }', /line 2: a zero byte/],
    ['wide', 'kong', Buffer.from('\ufeffservices: []', 'utf16le'), /it is written in UTF-16; save it as UTF-8/],
    ['deep', 'nginx', 'a {'.repeat(100_000), /more than 200 blocks stand in each other/],
    ['empty', 'nginx', '', /there is no server in it/],
    ['list', 'kong', '- a\n- b', /holds no mapping/],
    [
      'laughs',
      'kong',
      `a0: &a0 [x, x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join('\n')}`,
      /alias|anchors/,
    ],
    ['cyclic', 'kong', 'a: &a\n  b: *a', /an anchor stands for something that it is part of/],
    ['template', 'krakend', '{ "endpoints": [ {{ range .x }} ] }', /it has templates in it: import what is made of it/],
    ['several', 'kong', 'a: 1\n---\nb: 2', /it holds several documents/],
  ];
  for (const [name, format, text, problem] of cases) {
    await writeFile(join(folder, name), text);
    const { code, out, err } = await run(folder, ['import', format, name, '--out', `out-${name}`]);
    assert.deepEqual([code, out], [5, ''], name);
    assert.match(err, problem, name);
    assert.ok(err.trim().split('\n').length === 1 && err.length < 400, err);
  }
  const marked = '\ufeffserver {\r\n  listen 80;\r\n  location / { proxy_pass http://127.0.0.1:1; }\r\n}\r\n';
  await writeFile(join(folder, 'marked'), marked);
  assert.equal((await run(folder, ['import', 'nginx', 'marked', '--out', 'out-marked'])).code, 0);
  const many = Array.from(
    { length: 4_000 },
    (_, i) => `location = /l${i} { proxy_pass http://127.0.0.1:${1 + (i % 90)}; }`,
  );
  const before = process.cpuUsage();
  await importText('nginx', `server { listen 80; ${many.join('\n')} }`);
  assert.ok(process.cpuUsage(before).user < 10_000_000, 'thousands of locations take no minutes');
});

test('what the checker does not take is closed, so that the rest can be used', async (t) => {
  const { document, report } = await imported(
    t,
    'nginx',
    'server { listen 80; location /a { allow unix:; deny all; proxy_pass http://127.0.0.1:1; } location /b/ { proxy_pass http://127.0.0.1:1; } }',
  );
  assert.equal(document.routes[0]!.respond.status, 501);
  assert.notEqual(document.routes[1]!.service, undefined);
  assert.match(report, /"gatehouse check" refuses routes\[0\]\.ipFilter/);
});

/** A site as Debian lays it out, and what `nginx -T` prints of it. */
const SITE: Readonly<Record<string, string>> = {
  'nginx.conf': 'events {}\nhttp {\n  include mime.types;\n  include conf.d/*.conf;\n}\n',
  'mime.types': 'types { text/html html; }\n',
  'conf.d/a.conf': `ssl_certificate certs/site.crt;
ssl_certificate_key certs/site.key;
upstream api { include conf.d/api.servers; }
server {
  listen 8443 ssl;
  server_name shop.example;
  ssl_verify_client optional;
  ssl_client_certificate certs/site.crt;
  location /staff/ { include snippets/guard.conf; proxy_pass http://api; }
  location / { proxy_pass http://api; }
}
`,
  'conf.d/api.servers': 'server 127.0.0.1:4001;\nserver 127.0.0.1:4002;\n',
  'snippets/guard.conf': 'auth_basic "staff";\n',
};

async function siteFor(t: Scope, without: readonly string[] = []): Promise<string> {
  const folder = await folderFor(t);
  await rm(join(folder, 'imported'), { recursive: true });
  for (const [name, text] of Object.entries(SITE)) {
    if (without.includes(name)) continue;
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

interface Site {
  readonly gateway: { readonly listeners: readonly { readonly tls: Readonly<Record<string, unknown>> }[] };
  readonly services: { readonly api: { readonly instances: readonly unknown[] } };
  readonly routes: readonly { readonly match: { readonly path: string }; readonly respond?: { status: number } }[];
}

describe('the files of nginx', () => {
  test('certificates and included files are found from the folder of the imported file', async (t) => {
    const folder = await siteFor(t);
    const { code, err } = await run(folder, ['import', 'nginx', 'nginx.conf', '--out', 'new/gateway']);
    assert.deepEqual([code, err], [2, '']);
    assert.equal((await run(folder, ['check', 'new/gateway/gatehouse.yaml'])).code, 0);
    const site = parse(await readFile(join(folder, 'new/gateway/gatehouse.yaml'), 'utf8')) as Site;
    const [cert, key] = ['../../certs/site.crt', '../../certs/site.key'];
    assert.deepEqual(site.gateway.listeners[0]!.tls, {
      certificates: [{ cert, key }],
      clientCertificate: 'optional',
      clientCa: cert,
    });
    assert.equal(site.services.api.instances.length, 2);
    assert.deepEqual(
      site.routes.map(({ match, respond }) => [match.path, respond?.status]).sort(),
      [
        ['/*', undefined],
        ['/*', undefined],
        ['/staff/*', 501],
        ['/staff/*', 501],
      ].sort(),
    );
  });

  test('the output of nginx -T is the same, with the paths of where nginx runs', async (t) => {
    const folder = await siteFor(t);
    const printed = Object.entries(SITE).map(([name, text]) => `# configuration file /etc/nginx/${name}:\n${text}\n`);
    await writeFile(join(folder, 'all.conf'), printed.join(''));
    for (const [source, out] of [
      ['nginx.conf', 'from-disk'],
      ['all.conf', 'from-output'],
    ] as const)
      assert.equal((await run(folder, ['import', 'nginx', source, '--out', out])).code, 2);
    const [disk, output] = await Promise.all(
      ['from-disk', 'from-output'].map((out) => readFile(join(folder, out, 'gatehouse.yaml'), 'utf8')),
    );
    assert.match(output!, /cert: \/etc\/nginx\/certs\/site\.crt/);
    const same = (text: string): string =>
      text.replaceAll(/(\.\.|\/etc\/nginx)\/certs/g, 'certs').replace(/from \S+/, '');
    assert.equal(same(output!), same(disk!));
    const report = await readFile(join(folder, 'from-output/import-report.md'), 'utf8');
    const lines = (await readFile(join(folder, 'all.conf'), 'utf8')).split('\n');
    const line = Number(/auth_basic` \(line (\d+)\)/.exec(report)?.[1]);
    assert.match(lines[line - 1] ?? '', /auth_basic/, 'lines are those of the file that was named');
  });

  test('a file that is not here closes what may be guarded by it', async (t) => {
    const folder = await siteFor(t, ['snippets/guard.conf']);
    assert.equal((await run(folder, ['import', 'nginx', 'nginx.conf'])).code, 2);
    const site = parse(await readFile(join(folder, 'imported/gatehouse.yaml'), 'utf8')) as Site;
    const staff = site.routes.filter(({ match }) => match.path === '/staff/*');
    assert.deepEqual(
      staff.map(({ respond }) => respond?.status),
      [501, 501],
    );
    for (const level of ['server', 'location']) {
      const [server, location] = ['server', 'location'].map((name) => (name === level ? 'include guard.conf;' : ''));
      const text = `server { listen 80; ${server} location / { ${location} proxy_pass http://127.0.0.1:1; } }`;
      assert.equal((await importText('nginx', text)).routes[0]!.respond?.['status'], 501, level);
    }
  });

  test('--verify looks at the log where certificates are missing, and says when it cannot', async (t) => {
    const folder = await siteFor(t);
    await rm(join(folder, 'certs'), { recursive: true });
    const line = '192.0.2.1 - - [30/Nov/2026:10:00:00 +0000] "GET /orders HTTP/1.1" 200 5 "-" "-"\n';
    await writeFile(join(folder, 'access.log'), line.repeat(3));
    const flags = ['--verify', 'access.log', '--host', 'shop.example'];
    const { code, out, err } = await run(folder, ['import', 'nginx', 'nginx.conf', ...flags]);
    assert.equal(code, 2);
    assert.match(err, /the file cannot be read/);
    assert.match(out, /3 requests of the log, 3 taken by 1 route/);
    await writeFile(join(folder, 'bad.conf'), 'server { listen 99999; location / { proxy_pass http://a.example; } }');
    const bad = await run(folder, ['import', 'nginx', 'bad.conf', '--out', 'bad', ...flags]);
    assert.equal(bad.code, 2);
    assert.match(bad.err, /access\.log was not looked at, because of these problems/);
    const asJson = await run(folder, ['import', 'nginx', 'bad.conf', '--out', 'json', '--json', ...flags]);
    assert.equal((JSON.parse(asJson.out) as { verified: unknown }).verified, null);
  });
});

test('secrets are variables, and in neither configuration nor report', async (t) => {
  const text = await readFile(join(CASES, 'shop.kong.yaml'), 'utf8');
  const { yaml, report, out } = await imported(t, 'kong', text);
  for (const written of [yaml, report, out]) assert.doesNotMatch(written, /0123456789abcdef/);
  assert.match(yaml, /\$\{KONG_KEY_OFFICE\}/);
});

test('what cannot be read is said with its line, and nothing is written over', async (t) => {
  const folder = await folderFor(t);
  for (const [text, problem] of [
    ['server { listen 80;', /line 1: the block is not closed/],
    ['server { listen 80 }', /line 1: a semicolon is missing/],
    ['\n\nlisten "80;', /line 3: a quote is not closed/],
    ['}', /line 1: a brace closes what is not open/],
  ] as const) {
    assert.throws(() => parseNginx(text), problem);
  }
  await writeFile(join(folder, 'bad.yaml'), 'a: [');
  assert.equal((await run(folder, ['import', 'kong', 'bad.yaml'])).code, 5);
  assert.equal((await run(folder, ['import', 'kong', 'absent.yaml'])).code, 5);
  assert.equal((await run(folder, ['import', 'traefik', 'bad.yaml'])).code, 2);
  for (const [file, problem] of [
    ['absent.yaml', /^absent\.yaml: the file cannot be read: it does not exist$/m],
    ['imported', /^imported: the file cannot be read: it is a folder$/m],
  ] as const)
    for (const format of ['kong', 'nginx', 'openapi'])
      assert.match((await run(folder, ['import', format, file])).err, problem, format);
  await writeFile(join(folder, 'good.yaml'), '_format_version: "3.0"\nservices: []\n');
  const onFile = await run(folder, ['import', 'kong', 'good.yaml', '--out', 'bad.yaml']);
  assert.match(onFile.err, /bad\.yaml: this is a file, and a folder is needed/);
  await writeFile(join(folder, 'imported/gatehouse.yaml'), 'mine');
  assert.equal((await run(folder, ['import', 'kong', 'good.yaml'])).code, 5);
  assert.equal(await readFile(join(folder, 'imported/gatehouse.yaml'), 'utf8'), 'mine');
});

test('every object of a source is in the report', async () => {
  const draft = await importText('kong', await readFile(join(CASES, 'shop.kong.yaml'), 'utf8'));
  const report = reportOf(draft, 'shop.kong.yaml');
  for (const name of [
    'services/orders',
    'routes/orders-list',
    'routes/catalogue',
    'upstreams/catalogue-up',
    'consumers/office',
    'consumers/short',
    'consumers/slowed',
  ]) {
    assert.ok(report.includes(name), name);
  }
});
