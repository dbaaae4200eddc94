import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { atOnce } from '../../base/slices.ts';
import type { Compiled, CompileOptions } from './compile.ts';
import { compile } from './compile.ts';
import { keepLiveSteps } from './keep-live.ts';
import { loadConfig } from './load.ts';
import { controlSocketPath, localSocketPath, MAX_SOCKET_PATH } from './plan.ts';
import { formatProblem } from './problems.ts';

const GOLDEN = fileURLToPath(new URL('../../../test/golden/', import.meta.url));

async function result(document: unknown, options?: CompileOptions) {
  const loaded = await loadConfig({ document, cwd: GOLDEN });
  assert.ok(loaded.ok, loaded.ok ? '' : loaded.problems.map(formatProblem).join('\n'));
  return compile(loaded.config, options);
}

async function compiled(document: unknown, options?: CompileOptions): Promise<Compiled> {
  const found = await result(document, options);
  assert.ok(found.ok, found.problems.map(formatProblem).join('\n'));
  return found;
}

const service = (port: number) => ({ instances: [`http://127.0.0.1:${port}`] });
const route = (path: string, name: string) => ({ match: { path }, service: name, auth: 'public' });

test('the document of Enhanced loads as it stands', async () => {
  const loaded = await loadConfig({ file: 'enhanced.json', cwd: GOLDEN });
  assert.ok(loaded.ok);
  const done = compile(loaded.config);
  assert.ok(done.ok);
  const [projects] = done.snapshot.services;
  assert.equal(done.snapshot.listeners[0]?.port, 3000);
  assert.equal(projects?.name, 'project-manager');
  assert.deepEqual(projects.balancer, { algorithm: 'weighted-round-robin', options: {} });
  assert.equal(projects.instances[0]?.healthy, true);
  assert.equal(projects.timeouts.firstByteMs, 5000);
  assert.equal(projects.retries.attempts, 3);
  const { timeoutMs, errorThresholdRatio, resetTimeoutMs, rollingWindowMs, rollingBuckets } =
    projects.resilience.breaker ?? {};
  assert.deepEqual(
    [timeoutMs, errorThresholdRatio, resetTimeoutMs, rollingWindowMs, rollingBuckets],
    [3000, 0.5, 30_000, 10_000, 10],
  );
  assert.equal(done.plan.services['project-manager']?.healthCheck?.intervalMs, 30_000);
  const warnings = done.problems.map(formatProblem);
  assert.ok(warnings.includes('enhanced.json:12:5: warning: services.project-manager: no route sends to this service'));
  assert.ok(done.problems.every(({ severity }) => severity === 'warning'));
});

test('connections to gRPC services get PINGs more rarely than every five minutes, unless the service says how often', async () => {
  const kinds = { plain: {}, calls: { protocol: 'grpc' }, often: { protocol: 'grpc', pool: { pingAfter: '30s' } } };
  const never = { protocol: 'h2', pool: { pingAfter: 'off', maxAge: 'off' } };
  const { snapshot } = await compiled({
    services: Object.fromEntries(
      Object.entries({ ...kinds, never }).map(([name, more]) => [name, { ...service(1), ...more }]),
    ),
    routes: [],
  });
  const pools = Object.fromEntries(
    snapshot.services.map(({ name, pool }) => [name, [pool.maxAgeMs, pool.pingAfterMs, pool.pingTimeoutMs]]),
  );
  assert.deepEqual(pools['plain'], [3_600_000, 15_000, 15_000]);
  assert.deepEqual(pools['calls'], [3_600_000, 360_000, 15_000]);
  assert.deepEqual(pools['often'], [3_600_000, 30_000, 15_000]);
  assert.deepEqual(pools['never'], [0, 0, 15_000]);
});

test('routes and services that say the same stay the same objects over a reload, wherever they stand', async () => {
  const document = (changed: string) => ({
    services: { a: service(1), b: service(2), [changed]: service(3) },
    routes: [route('/a', 'a'), { ...route('/b', 'b'), headers: { response: { set: { 'X-Now': changed } } } }],
  });
  const before = await compiled(document('first'));
  const next = await compiled(document('second'), { slots: before.slots, version: 2 });
  const after = { snapshot: atOnce(keepLiveSteps(next.snapshot, before.snapshot)) };
  const same = <Thing>(from: readonly Thing[], to: readonly Thing[]): Thing[] =>
    to.filter((each) => from.includes(each));
  const services = same(before.snapshot.services, after.snapshot.services).map(({ name }) => name);
  assert.ok(services.includes('a') && services.includes('b') && !services.includes('second'), services.join());
  const routes = same(before.snapshot.routes, after.snapshot.routes).map(({ id }) => id);
  const all = after.snapshot.routes.map(({ id }) => id);
  // The endpoints of the gateway itself stay as well.
  assert.deepEqual(
    all.filter((id) => !routes.includes(id)),
    [after.snapshot.routes[1]!.id],
  );
});

test('services, instances and routes keep their slots over reloads, wherever they stand', async () => {
  const before = await compiled({
    services: { a: service(1), b: service(2) },
    routes: [route('/a', 'a'), route('/b', 'b')],
  });
  const after = await compiled(
    {
      services: { c: service(3), b: service(2), a: { instances: ['http://127.0.0.1:9', 'http://127.0.0.1:1'] } },
      routes: [route('/c', 'c'), route('/b', 'b'), route('/a', 'a')],
    },
    { slots: before.slots, version: 2 },
  );
  const slots = ({ snapshot }: Compiled): Record<string, number> => ({
    ...Object.fromEntries(snapshot.services.map(({ name, slot }) => [name, slot])),
    ...Object.fromEntries(snapshot.services.flatMap(({ instances }) => instances.map(({ id, slot }) => [id, slot]))),
    ...Object.fromEntries(snapshot.routes.map(({ id, slot }) => [id, slot])),
  });
  const now = slots(after);
  for (const [id, slot] of Object.entries(slots(before))) assert.equal(now[id], slot, id);
  assert.equal(after.snapshot.version, 2);
  assert.deepEqual(after.fresh.services, [now['c']]);
  assert.deepEqual(after.fresh.instances.length, 2);
  assert.deepEqual(after.fresh.routes, [now['/c']]);
});

test('discovered instances join those of the document, which win over them', async () => {
  const { snapshot } = await compiled(
    { services: { a: { instances: [{ url: 'http://127.0.0.1:1', weight: 5 }] } }, routes: [route('/a', 'a')] },
    {
      more: {
        discovered: {
          a: [
            { url: 'http://127.0.0.1:1', weight: 1 },
            { url: 'http://127.0.0.1:2/', zone: 'z' },
          ],
          gone: [{ url: 'http://127.0.0.1:3' }],
        },
      },
    },
  );
  assert.deepEqual(
    snapshot.services[0]?.instances.map(({ id, weight, zone }) => [id, weight, zone]),
    [
      ['a@127.0.0.1:1', 5, null],
      ['a@127.0.0.1:2', 1, 'z'],
    ],
  );
});

test('a service whose instances are discovered needs none in the document', async () => {
  const { snapshot } = await compiled({
    services: { a: { discovery: { registry: true } } },
    registry: { token: '0123456789abcdef' },
    routes: [route('/a', 'a')],
  });
  assert.deepEqual(snapshot.services[0]?.instances, []);
});

test('certificates and keys travel beside the snapshot, by id', async () => {
  const certificates = [{ cert: 'tls/localhost.pem', key: 'tls/localhost.key' }];
  const { snapshot, secrets, plan } = await compiled({
    gateway: {
      listeners: [
        { name: 'edge', port: 0, tls: { certificates, clientCertificate: 'optional', clientCa: 'tls/localhost.pem' } },
      ],
    },
    services: {
      a: {
        instances: ['https://a.example'],
        tls: { ca: 'tls/localhost.pem', ...certificates[0] },
        sticky: { key: 'sticky-key-0123456' },
      },
    },
    routes: [route('/a', 'a')],
  });
  const tls = snapshot.listeners[0]?.tls;
  assert.deepEqual(tls?.certificates[0]?.names, ['localhost', '*.example.com']);
  assert.deepEqual([tls?.minVersion, tls?.clientCertificate], ['TLSv1.2', 'optional']);
  const ids = [
    tls?.certificates[0]?.key,
    tls?.certificates[0]?.cert,
    tls?.clientCa,
    snapshot.services[0]?.tls?.ca,
    snapshot.services[0]?.tls?.key,
  ];
  for (const id of ids) assert.match(secrets[id ?? ''] ?? '', /^-----BEGIN/);
  assert.equal(secrets[snapshot.services[0]?.resilience.sticky?.key ?? ''], 'sticky-key-0123456');
  assert.ok(!JSON.stringify(snapshot).includes('BEGIN'));
  assert.ok(!JSON.stringify(snapshot).includes('sticky-key'));
  assert.deepEqual(
    plan.files.map((file) => file.slice(GOLDEN.length)),
    ['tls/localhost.pem', 'tls/localhost.key'],
  );
});

test('a key that is not the certificate’s stops the start', async () => {
  const tls = { certificates: [{ cert: 'tls/localhost.pem', key: 'tls/other.key' }] };
  const found = await result({ gateway: { listeners: [{ port: 0, tls }] } });
  assert.deepEqual(found.problems.map(formatProblem), [
    'gateway.listeners[0].tls.certificates[0].key: is not the private key of the certificate',
  ]);
});

test('a PEM text may stand where a file’s name does, as a variable brings it', async () => {
  const cert = readFileSync(`${GOLDEN}tls/localhost.pem`, 'utf8');
  const key = readFileSync(`${GOLDEN}tls/localhost.key`, 'utf8');
  const { secrets } = await compiled({
    gateway: { listeners: [{ name: 'edge', port: 0, tls: { certificates: [{ cert, key }] } }] },
  });
  assert.equal(secrets['listener/edge/0/key'], key);
});

test('a certificate that has ended is warned about', async () => {
  const tls = { certificates: [{ cert: 'tls/localhost.pem', key: 'tls/localhost.key' }] };
  const { problems } = await compiled({ gateway: { listeners: [{ port: 0, tls }] } }, { nowMs: Date.UTC(2200, 0, 1) });
  assert.match(problems.map(formatProblem).join(), /warning: .*the certificate ended on 21/);
});

test('a certificate that ends within 14 days is warned about, whatever it is for', async () => {
  const pair = { cert: 'tls/localhost.pem', key: 'tls/localhost.key' };
  const tls = { certificates: [pair], clientCertificate: 'required', clientCa: pair.cert };
  const document = {
    gateway: { listeners: [{ port: 0, tls }] },
    services: { a: { instances: [{ url: 'https://127.0.0.1:1' }], tls: { ...pair, ca: pair.cert } } },
    routes: [route('/a', 'a')],
  };
  const { plan } = await compiled(document);
  const sources = [
    'gateway.listeners[0].tls.certificates[0].cert',
    'gateway.listeners[0].tls.clientCa',
    'services.a.tls.ca',
    'services.a.tls.cert',
  ];
  assert.deepEqual(plan.certificates.map(({ source }) => source).sort(), sources);
  assert.deepEqual(new Set(plan.certificates.map(({ name }) => name)), new Set(['localhost', 'ignored']));
  const warned = async (nowMs: number) =>
    (await compiled(document, { nowMs })).problems.filter(({ message }) => message.startsWith('the certificate ends'));
  const day = 86_400_000;
  const { endsAtMs } = plan.certificates[0]!;
  assert.deepEqual(await warned(endsAtMs - 14 * day), []);
  const soon = await warned(endsAtMs - 5.2 * day);
  assert.deepEqual(soon.map(({ key }) => key).sort(), sources);
  assert.match(formatProblem(soon[0]!), /^warning: .*: the certificate ends on 21\d\d-\d\d-\d\d, in 5 days$/);
});

test('the certificates of a collector and the authority of ACME are checked as those of services are', async () => {
  const pair = { cert: 'tls/localhost.pem', key: 'tls/localhost.key' };
  const of = (tls: object) => ({ gateway: { tracing: { endpoint: 'https://127.0.0.1:4318', ...tls } } });
  const said = async (document: object) => (await result(document)).problems.map(formatProblem);
  assert.deepEqual(await said(of({ ...pair, key: 'tls/other.key' })), [
    'gateway.tracing.key: is not the private key of the certificate',
  ]);
  const [notOne] = await said(of({ ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }));
  assert.equal(notOne, 'gateway.tracing.ca: holds a certificate that cannot be read');
  // OpenSSL takes none of a file that is cut off in its chain.
  const whole = readFileSync(`${GOLDEN}tls/localhost.pem`, 'utf8');
  const broken = '-----BEGIN CERTIFICATE-----\nAA-A\n-----END CERTIFICATE-----\n';
  for (const more of [whole.slice(0, 200), broken]) {
    const [cutOff] = await said(of({ ...pair, cert: `${whole}${more}` }));
    assert.equal(cutOff, 'gateway.tracing.cert: holds a certificate that cannot be read');
  }
  const document = of({ ...pair, ca: pair.cert });
  const { plan } = await compiled(document);
  const { tls } = plan.gateway.tracing!.exporter;
  assert.deepEqual(
    tls,
    Object.fromEntries(
      Object.entries({ ca: 'pem', cert: 'pem', key: 'key' }).map(([key, end]) => [
        key,
        readFileSync(`${GOLDEN}tls/localhost.${end}`, 'utf8'),
      ]),
    ),
  );
  const sources = plan.certificates.map(({ source }) => source);
  assert.deepEqual(sources.sort(), ['gateway.tracing.ca', 'gateway.tracing.cert']);
  const { endsAtMs } = plan.certificates[0]!;
  const soon = (await compiled(document, { nowMs: endsAtMs - 5.2 * 86_400_000 })).problems;
  assert.deepEqual(
    soon
      .filter(({ message }) => message.startsWith('the certificate ends'))
      .map(({ key }) => key)
      .sort(),
    ['gateway.tracing.ca', 'gateway.tracing.cert'],
  );
  const acme = (ca: string) => ({ gateway: { listeners: [{ port: 0, tls: { auto: ['a.example'] } }] }, acme: { ca } });
  assert.match((await said(acme('tls/localhost.key'))).join('\n'), /^acme\.ca: not a certificate in PEM/m);
  assert.deepEqual(
    (await compiled(acme(pair.cert))).plan.certificates.map(({ source }) => source),
    ['acme.ca'],
  );
});

test('the snapshot is frozen to its leaves and survives a structured clone', async () => {
  const { snapshot } = await compiled({ services: { a: service(1) }, routes: [route('/a', 'a')] });
  assert.throws(() => Object.assign(snapshot.services[0]?.timeouts ?? {}, { totalMs: 1 }), TypeError);
  assert.deepEqual(structuredClone(snapshot), snapshot);
});

test('built-in endpoints go to the socket of the running process, wherever a new document has its data', async () => {
  const { snapshot } = await compiled({}, { dataDir: '/run' });
  const ops = snapshot.services.find(({ name }) => name === 'builtin:ops');
  assert.deepEqual([ops?.instances[0]?.id, ops?.instances[0]?.socketPath], ['builtin:ops', '/run/ops.sock']);
  assert.deepEqual(snapshot.routes.map(({ id }) => id).slice(0, 2), ['builtin:ops/health', 'builtin:ops/live']);
  const other = await compiled({ gateway: { dataDir: '/tmp/gh' } });
  assert.equal(other.snapshot.services[0]?.instances[0]?.socketPath, '/tmp/gh/ops.sock');
});

test('more services than shared memory has slots for are refused', async () => {
  const services = Object.fromEntries(Array.from({ length: 1_100 }, (_, index) => [`s${index}`, service(index + 1)]));
  const { problems, ok } = await result({ services });
  assert.equal(ok, false);
  assert.ok(
    problems.map(formatProblem).some((line) => line.includes('services: too many (got 1102, expected at most 1023)')),
  );
});

test('ten thousand routes compile in well under ten seconds', async () => {
  const routes = Array.from({ length: 10_000 }, (_, index) => route(`/r${index}/:id`, 'a'));
  const { snapshot } = await compiled({ services: { a: service(1) }, routes });
  assert.equal(new Set(snapshot.routes.map(({ slot }) => slot)).size, snapshot.routes.length);
});

test('a path for the control socket that is too long for a socket is refused at load', async () => {
  const found = await result({ gateway: { dataDir: `/${'d'.repeat(MAX_SOCKET_PATH)}` } });
  assert.match(
    found.problems.map(formatProblem).join(),
    /gateway.dataDir: the path of the control socket in it would be too long/,
  );
});

test('on Windows sockets are pipes of the folder’s own', () => {
  assert.match(controlSocketPath('C:\\data', 'win32'), /^\\\\\.\\pipe\\gatehouse-[0-9a-f]{16}-gatehouse$/);
  assert.notEqual(localSocketPath('C:\\a', 'ops', 'win32'), localSocketPath('C:\\b', 'ops', 'win32'));
  assert.equal(controlSocketPath('/data', 'linux'), '/data/gatehouse.sock');
});

test('identity: plans are those of the limits, and an issuer at which nobody listens is warned of', async () => {
  const base = { services: {}, routes: [] };
  const found = await compiled({
    ...base,
    gateway: { port: 9_123 },
    plans: { free: { quotas: {} }, pro: { quotas: {} } },
    identity: { enabled: true, plans: ['free', 'gold'] },
  });
  assert.deepEqual(found.plan.sections.identity?.options.plans, ['free', 'gold']);
  assert.equal(found.plan.sections.identity?.options.defaultPlan, 'free');
  const warned = found.problems.map(({ key, message }) => `${key}: ${message}`);
  assert.ok(
    warned.some((text) => /^identity\.plans\[1\]: no limits are defined for this plan/.test(text)),
    warned.join('\n'),
  );
  assert.ok(
    warned.some((text) => /^identity\.publicUrl: tokens say "iss": "http:\/\/127\.0\.0\.1:8000"/.test(text)),
    warned.join('\n'),
  );
  const right = await compiled({
    ...base,
    gateway: { port: 9_123 },
    identity: { enabled: true, publicUrl: 'https://api.example.com' },
  });
  assert.deepEqual(
    right.problems.filter(({ key }) => key.startsWith('identity.publicUrl') && !/passkeys/.test(key)),
    [],
  );
  const wrong = await result({ ...base, identity: { enabled: true, plans: ['a'], defaultPlan: 'b' } });
  assert.ok(!wrong.ok && wrong.problems.some(({ key }) => key === 'identity.defaultPlan'));
});
