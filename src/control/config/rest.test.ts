import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from './load.ts';
import { formatProblem } from './problems.ts';

async function said(document: object): Promise<string[]> {
  const loaded = await loadConfig({ document });
  return loaded.ok ? [] : loaded.problems.map(formatProblem);
}

const services = { a: { instances: ['http://127.0.0.1:9000'] }, b: { instances: ['http://127.0.0.1:9001'] } };
/** Says two things that only a whole document can say. */
const wrongAlone = [
  { name: 'twice', match: { path: '/one' }, service: 'a', auth: 'public' },
  { name: 'twice', match: { path: '/two', listener: 'nowhere' }, service: 'a', auth: 'public' },
];

test('a wrong value in one route hides nothing that is wrong with others', async () => {
  const problems = await said({
    services,
    routes: [{ match: { path: '/x' }, service: 'a', auth: 'public', priority: 'high' }, ...wrongAlone],
  });
  assert.equal(problems.length, 3, problems.join('\n'));
  assert.match(problems.join('\n'), /routes\[0\]\.priority: wrong type/);
  assert.match(problems.join('\n'), /routes\[2\]\.name: another route has this name/);
  assert.match(problems.join('\n'), /routes\[2\]\.match\.listener: no listener has this name/);
});

test('neither does one of a service, of gateway, nor a service that is not there', async () => {
  const rows: [object, RegExp][] = [
    [{ services: { ...services, b: { instances: [1] } } }, /services\.b\.instances\[0\]/],
    [{ services, gateway: { workers: 'many' } }, /gateway\.workers/],
    [{ services: { ...services, b: { fallback: { service: 'c' }, ...services.b } } }, /services\.b\.fallback\.service/],
  ];
  for (const [document, expected] of rows) {
    const problems = await said({ ...document, routes: [...wrongAlone] });
    assert.match(problems[0] ?? '', expected);
    assert.equal(problems.length, 3, problems.join('\n'));
  }
});

test('what only follows from a broken part is not said', async () => {
  const problems = await said({
    services: { ...services, b: { ...services.b, protocol: 'grp' } },
    routes: [
      { name: 'same', match: { path: '/*' }, service: 'nobody' },
      // Without its service nothing can be said of it.
      { match: { path: '/b' }, service: 'b', transcode: {} },
      { match: { path: '/c' }, service: 'a', auth: 'public' },
    ],
  });
  assert.deepEqual(
    problems.filter((problem) => !/routes\[0\]\.service|routes\[1\]\.transcode|services\.b\.protocol/.test(problem)),
    [],
  );
});

test('nor does anything wrong in another section, or with a key of gateway on which others depend', async () => {
  const corp = { issuer: 'https://id.example.com', audience: 'api' };
  const rows: [object, RegExp[]][] = [
    [{ identity: { enabled: true, tokens: { access: 'soon' } } }, [/^identity\.tokens/]],
    [{ identity: 'yes' }, [/^identity: /]],
    [{ issuers: { corp: { ...corp, leeway: 'long' } } }, [/^issuers\.corp\.leeway/]],
    [{ issuers: { corp: { audience: 'api' } } }, [/^issuers\.corp/]],
    [{ stores: { redis: 7 } }, [/^stores\.redis/]],
    [{ identiti: {} }, [/^unknown key "identiti"/]],
    [{ plans: [] }, [/^plans: /]],
    [{ gateway: { auth: { jwt: 7 } } }, [/^gateway\.auth\.jwt/]],
    [{ gateway: { listeners: { inside: { port: 'high' } } } }, [/^gateway\.listeners/]],
    [{ gateway: { dataDir: 1, endpoints: { metrics: 7 }, operations: 'x' } }, [/dataDir/, /endpoints/, /operations/]],
  ];
  for (const [wrong, expected] of rows) {
    const problems = await said({ services, ...wrong, routes: wrongAlone });
    const all = problems.join('\n');
    for (const each of expected) assert.match(all, new RegExp(each.source, 'm'));
    assert.match(all, /routes\[1\]\.name: another route has this name/, all);
  }
});

test('who only refers to what was wrong is not blamed', async () => {
  const route = { match: { path: '/x' }, service: 'a' };
  const other = { match: { path: '/y' }, service: 'a' };
  const rows: object[] = [
    { issuers: { corp: { audience: 7 } }, routes: [{ ...route, auth: { jwt: { issuers: ['corp'] } } }] },
    { identity: { enabled: 'perhaps' }, routes: [{ ...route, auth: { jwt: { issuers: ['identity'] } } }, other] },
    { identity: 7, routes: [{ ...route, auth: { jwt: {} }, authorize: { level: 'admin' } }] },
    { gateway: { auth: { apiKey: { keys: 7 } } }, routes: [route] },
    {
      gateway: { listeners: [{ name: 'inside', port: 'x' }] },
      routes: [{ ...route, match: { path: '/x', listener: 'inside' }, auth: 'public' }],
    },
    {
      gateway: { endpoints: { metrics: { path: 7 } } },
      routes: [{ ...route, match: { path: '/metrics' }, auth: 'public' }],
    },
    { plans: { gold: { limits: ['x'] } }, routes: [{ ...route, auth: 'public', rateLimit: { by: 'ip', plan: true } }] },
    { stores: { redis: 7 }, limits: { store: 'redis' }, routes: [{ ...route, auth: 'public' }] },
    { quotas: { month: 7 }, routes: [{ ...route, auth: 'public', quota: 'month' }] },
    { identiti: { enabled: true }, routes: [{ ...route, auth: { jwt: {} } }] },
    { gateway: { atuh: { apiKey: {} } }, routes: [route] },
    { events: 7, routes: [{ match: { path: '/x' }, publish: { stream: 's' }, auth: 'public' }] },
  ];
  for (const document of rows) {
    const problems = await said({ services, ...document });
    const blamed = problems.filter((problem) => /^routes/.test(problem));
    assert.ok(problems.length > 0);
    assert.deepEqual(blamed, [], problems.join('\n'));
  }
});

test('one mistake of each kind is said in one run, also of a service that is broken itself', async () => {
  const problems = await said({
    services: { ...services, a: { ...services.a, retrys: 3 } },
    routes: [
      { match: { path: '/one' }, service: 'a', auth: { jwt: { issuers: ['corp'] } } },
      { match: { path: '/two' }, service: 'a', auth: { jwt: { issuers: ['identity'] } } },
      { match: { path: '/three' }, service: 'b', auth: 'public', use: ['./missing.ts'] },
      { match: { path: '/four/*' }, service: 'a', auth: 'public', priority: 5 },
      { match: { path: '/four/x' }, service: 'b', auth: 'public', cors: { origin: '*' } },
      { match: { path: '/five' }, service: 'c', auth: 'public' },
      { match: { path: '/six' }, service: 'b', auth: 'public', priority: 'high' },
    ],
  });
  const wanted = [
    /^services\.a: unknown key "retrys"/,
    /^routes\[0\]\.auth\.jwt\.issuers\[0\]: there is no such issuer .*a key of issuers, which is empty/,
    /^routes\[1\]\.auth\.jwt\.issuers\[0\]: the identity service is not enabled/,
    /^routes\[2\]\.use\[0\]: the file cannot be read/,
    /^routes\[4\]\.cors/,
    /^routes\[5\]\.service: there is no such service/,
    /^routes\[6\]\.priority/,
  ];
  for (const each of wanted)
    assert.ok(
      problems.some((problem) => each.test(problem)),
      `${each} is not among\n${problems.join('\n')}`,
    );
  assert.equal(new Set(problems).size, problems.length, problems.join('\n'));
});

test('routes that can never match are said beside what else is wrong', async () => {
  const problems = await said({
    services,
    routes: [
      { match: { path: '/a/*' }, service: 'a', auth: { jwt: { issuers: ['corp'] } }, priority: 5 },
      { match: { path: '/a/x' }, service: 'b', auth: 'public' },
      { match: { path: '/b/*' }, service: 'a', auth: 'public', prioritty: 5 },
      { match: { path: '/b/x' }, service: 'b', auth: 'public' },
    ],
  });
  const never = problems.filter((problem) => problem.includes('can never match'));
  assert.equal(never.length, 1, problems.join('\n'));
  // What priority was meant for /b/* is unknown.
  assert.match(never[0] ?? '', /^routes\[1\]/);
});

test('routes are not blamed for what a broken key of their service leaves out', async () => {
  for (const wrong of [{ auth: { jwt: 7 } }, { atuh: 'public' }, { protocl: 'grpc' }, { protocol: 'grp' }]) {
    const problems = await said({
      services: { ...services, a: { ...services.a, ...wrong } },
      routes: [
        { match: { path: '/x' }, service: 'a' },
        ...('auth' in wrong || 'atuh' in wrong
          ? []
          : [{ match: { path: '/y' }, service: 'a', auth: 'public', transcode: { descriptorSet: './a.pb' } }]),
      ],
    });
    const blamed = problems.filter((problem) => problem.startsWith('routes') && !/cannot be read/.test(problem));
    assert.deepEqual(blamed, [], JSON.stringify(wrong));
  }
});
