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
import { reportOf } from '../../src/cli/import/draft.ts';
import { parseNginx } from '../../src/cli/import/nginx-parser.ts';
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
  readonly routes: readonly { readonly service?: string; readonly respond: { readonly status: number } }[];
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
  await writeFile(join(folder, 'good.yaml'), '_format_version: "3.0"\nservices: []\n');
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
