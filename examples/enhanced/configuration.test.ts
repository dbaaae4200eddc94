/**
 * The document's configuration as printed: every JSON fragment loads, every variable does what it says, a new service
 * is added in the document's two steps.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compile } from '../../src/control/config/compile.ts';
import { loadConfig } from '../../src/control/config/load.ts';
import { ConfigurationError, formatProblem } from '../../src/control/config/problems.ts';
import { suiteScope } from '../../test/support/scope.ts';
import { httpUpstream } from '../../test/support/upstream.ts';
import { startSystem, writeEdited } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'gh-enhanced-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function compiled(file: string, env: Record<string, string> = {}) {
  const loaded = await loadConfig({ file, env, cwd: folder });
  if (!loaded.ok) throw new ConfigurationError(loaded.problems);
  const result = compile(loaded.config);
  if (!result.ok) throw new ConfigurationError(result.problems);
  return result;
}

const GATEWAY = `{
  "gateway": {
    "port": 3000,
    "clusterMode": true,
    "maxRequestSize": "10mb",
    "rateLimit": {
      "windowMs": 900000,
      "max": 1000
    }
  }
}`;

const SERVICE = `{
  "services": {
    "project-manager": {
      "instances": [
        {
          "url": "http://project-manager-1:3000",
          "weight": 1,
          "healthy": true
        }
      ],
      "timeout": 5000,
      "retries": 3,
      "circuitBreaker": {
        "timeout": 3000,
        "errorThresholdPercentage": 50,
        "resetTimeout": 30000
      },
      "loadBalancing": {
        "algorithm": "weighted-round-robin",
        "healthCheckInterval": 30000
      }
    }
  }
}`;

const NEW_SERVICE = `{
  "services": {
    "new-service": {
      "instances": [
        { "url": "http://new-service:3000", "weight": 1, "healthy": true }
      ],
      "timeout": 5000,
      "retries": 3
    }
  }
}`;

/** Parts of a service. */
const PARTS = {
  'round robin': `{ "loadBalancing": { "algorithm": "round-robin" } }`,
  'weighted round robin': `{
  "loadBalancing": {
    "algorithm": "weighted-round-robin"
  },
  "instances": [
    { "url": "http://service-1:3000", "weight": 1 },
    { "url": "http://service-2:3000", "weight": 2 }
  ]
}`,
  'least connections': `{ "loadBalancing": { "algorithm": "least-connections" } }`,
  'IP hash': `{ "loadBalancing": { "algorithm": "ip-hash" } }`,
  'the basic breaker': `{
  "circuitBreaker": {
    "timeout": 3000,
    "errorThresholdPercentage": 50,
    "resetTimeout": 30000
  }
}`,
  'the advanced breaker': `{
  "circuitBreaker": {
    "timeout": 3000,
    "errorThresholdPercentage": 50,
    "resetTimeout": 30000,
    "rollingCountTimeout": 10000,
    "rollingCountBuckets": 10
  }
}`,
} as const;

describe('the JSON of the document', () => {
  const write = (text: string): string => {
    const file = join(folder, 'gateway-config.json');
    writeFileSync(file, text);
    return file;
  };

  test('the gateway fragment says what it says', async () => {
    const { snapshot, plan } = await compiled(write(GATEWAY));
    assert.equal(snapshot.listeners[0]?.port, 3_000);
    assert.equal(plan.workers, process.platform === 'linux' ? availableParallelism() : 1);
    for (const route of snapshot.routes) assert.equal(route.maxRequestBytes, 10 * 1024 ** 2);
  });

  test('the service fragment says what it says', async () => {
    const { snapshot, plan } = await compiled(write(SERVICE));
    const service = snapshot.services.find(({ name }) => name === 'project-manager')!;
    assert.deepEqual(
      service.instances.map(({ url, weight, healthy }) => [url, weight, healthy]),
      [['http://project-manager-1:3000', 1, true]],
    );
    assert.equal(service.balancer.algorithm, 'weighted-round-robin');
    assert.deepEqual([service.timeouts.firstByteMs, service.retries.attempts], [5_000, 3]);
    const { breaker } = service.resilience;
    assert.deepEqual([breaker?.timeoutMs, breaker?.errorThresholdRatio, breaker?.resetTimeoutMs], [3_000, 0.5, 30_000]);
    const { healthCheck } = plan.services['project-manager']!;
    assert.deepEqual([healthCheck?.intervalMs, healthCheck?.path], [30_000, '/health']);
  });

  test('the fragment of a new service loads', async () => {
    const { snapshot } = await compiled(write(NEW_SERVICE));
    assert.ok(snapshot.services.some(({ name }) => name === 'new-service'));
  });

  for (const [name, text] of Object.entries(PARTS)) {
    test(`the fragment for ${name} loads`, async () => {
      const part = JSON.parse(text) as Record<string, { algorithm?: string }>;
      const { snapshot } = await compiled(
        write(JSON.stringify({ services: { one: { instances: ['http://service-1:3000'], ...part } } })),
      );
      const service = snapshot.services.find((each) => each.name === 'one')!;
      if (part['loadBalancing'] !== undefined)
        assert.equal(service.balancer.algorithm, part['loadBalancing'].algorithm);
      else assert.equal(service.resilience.breaker?.resetTimeoutMs, 30_000);
    });
  }

  test('the file of the example loads by itself, without what gatehouse.ts adds', async () => {
    const file = fileURLToPath(new URL('config/gateway-config.json', import.meta.url));
    const { snapshot } = await compiled(file);
    assert.equal(snapshot.services.filter(({ name }) => !name.startsWith('builtin:')).length, 5);
  });

  test('a key that is mistyped is refused, and the right one is named', async () => {
    const broken = SERVICE.replace('"retries"', '"retrys"');
    await assert.rejects(compiled(write(broken)), (error: ConfigurationError) => {
      assert.match(error.problems.map(formatProblem).join('\n'), /unknown key "retrys"; did you mean "retries"\?/);
      return true;
    });
  });
});

describe('the variables of the document', () => {
  const file = fileURLToPath(new URL('gatehouse.ts', import.meta.url));
  const strong = {
    JWT_SECRET: 'a secret of the tests, long enough for HS256',
    JWT_REFRESH_SECRET: 'another secret of the tests, long enough too',
  };

  test('all of them as printed, but for the two secrets', async () => {
    const { snapshot, plan, secrets } = await compiled(file, {
      PORT: '3000',
      NODE_ENV: 'production',
      CLUSTER_MODE: 'true',
      REDIS_URL: 'redis://localhost:6379',
      LOG_LEVEL: 'info',
      RATE_LIMIT_WINDOW: '900000',
      RATE_LIMIT_MAX: '1000',
      ...strong,
    });
    assert.equal(secrets[plan.sections.stores.redis ?? ''], 'redis://localhost:6379');
    const policy = snapshot.routes[0]?.policies.find(({ name }) => name === 'rate-limit');
    assert.match(JSON.stringify(policy?.options), /"limit":1000,"windowMs":900000/);
    assert.equal(snapshot.listeners[0]?.port, 3_000);
    assert.equal(plan.environment, 'production');
    assert.equal(snapshot.gateway.logLevel, 'info');
    assert.equal(plan.workers, process.platform === 'linux' ? availableParallelism() : 1);
  });

  test('they win over the file', async () => {
    const { snapshot, plan } = await compiled(file, { PORT: '8080', CLUSTER_MODE: 'false', LOG_LEVEL: 'error' });
    assert.equal(snapshot.listeners[0]?.port, 8_080);
    assert.deepEqual([snapshot.gateway.logLevel, plan.workers], ['error', 1]);
  });

  const refused: { name: string; value: string; why: RegExp }[] = [
    { name: 'PORT', value: 'http', why: /^environment variable PORT: .*expected a whole number\)$/ },
    { name: 'PORT', value: '70000', why: /PORT.*65535/s },
    { name: 'CLUSTER_MODE', value: 'perhaps', why: /CLUSTER_MODE/ },
    { name: 'LOG_LEVEL', value: 'loud', why: /LOG_LEVEL/ },
    { name: 'RATE_LIMIT_MAX', value: 'many', why: /RATE_LIMIT_MAX.*expected a whole number/ },
    { name: 'RATE_LIMIT_WINDOW', value: '-1', why: /RATE_LIMIT_WINDOW/ },
    { name: 'REDIS_URL', value: 'your-super-secret-redis:6379', why: /REDIS_URL.*must be redis:/ },
    // The document prints placeholders; a secret that everybody can read is none.
    {
      name: 'JWT_SECRET',
      value: 'your-super-secret-jwt-key',
      why: /JWT_SECRET has 25 bytes; it must have at least 32/,
    },
    {
      name: 'JWT_REFRESH_SECRET',
      value: 'your-super-secret-refresh-key',
      why: /JWT_REFRESH_SECRET has 29 bytes; it must have at least 32/,
    },
  ];
  for (const { name, value, why } of refused) {
    test(`${name}=${value} does not start, and the words do not repeat a secret`, async () => {
      await assert.rejects(compiled(file, { [name]: value }), (error: ConfigurationError) => {
        const words = error.problems.map(formatProblem).join('\n');
        assert.match(words, why);
        assert.ok(!words.includes('your-super-secret'));
        return true;
      });
    });
  }
});

describe('adding a service', () => {
  const scope = suiteScope();

  test('the two steps of the document and a reload put it behind /api/v1/new-service', async () => {
    const upstream = await httpUpstream(scope, (request, response) => response.end(`asked for ${request.url}`));
    const system = await startSystem(scope, {
      services: [],
      edit: () => {},
      env: { CLUSTER_MODE: 'false', SERVICE_ADDRESSES: `new-service=127.0.0.1:${upstream.port}` },
    });
    assert.equal((await system.call('/api/v1/new-service')).status, 404);
    const added = (JSON.parse(NEW_SERVICE) as { services: object }).services;
    writeEdited(system.env['GATEWAY_CONFIG']!, ({ services }) => void Object.assign(services, added));
    assert.deepEqual((await system.gateway.reload()).problems, []);
    const answer = await system.call('/api/v1/new-service/things?x=1');
    assert.deepEqual([answer.status, answer.text], [200, 'asked for /api/new-service/things?x=1']);
    // `authenticateToken` of the document's second step.
    assert.equal((await system.call('/api/v1/new-service', { anonymous: true })).status, 401);

    writeFileSync(system.env['GATEWAY_CONFIG']!, '{ "services": { "new-service": { "instnces": [] } } }');
    const { ok, problems } = await system.gateway.reload();
    assert.equal(ok, false);
    assert.match(problems.join(), /did you mean "instances"/);
    assert.equal((await system.call('/api/v1/new-service')).status, 200, 'a bad file changes nothing');
  });
});
