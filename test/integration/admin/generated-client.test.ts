/**
 * The admin API driven by a client made of its OpenAPI document and nothing else: every operation is there by its id,
 * takes what the document says, and what comes back is what the document says.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { closed } from '../../support/described-calls.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { httpUpstream } from '../../support/upstream.ts';

const TOKEN = 'admin-token-that-is-long-enough';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: object } } };
  readonly responses: Readonly<Record<string, Response_>>;
}
interface Response_ {
  readonly $ref?: string;
  readonly content?: Readonly<Record<string, { schema: object }>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly responses: Readonly<Record<string, Response_>>; readonly [kind: string]: object };
}
interface Given {
  readonly values?: Readonly<Record<string, string | number>>;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}
// biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the document's schemas
type Call = (given?: Given) => Promise<{ status: number; body: any }>;

function clientOf(document: Document, base: string): ReadonlyMap<string, Call> {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const check = (schema: object, value: unknown, what: string): void => {
    const validate = ajv.compile({ ...schema, components: document.components });
    assert.ok(validate(value), `${what}: ${JSON.stringify(validate.errors)}\n${JSON.stringify(value)?.slice(0, 500)}`);
  };
  const calls = new Map<string, Call>();
  for (const [path, operations] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(operations)) {
      const { operationId, parameters = [], requestBody, responses } = operation;
      assert.ok(!calls.has(operationId), `${operationId} is one operation`);
      calls.set(operationId, async ({ values = {}, body, headers = {} } = {}) => {
        const where = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
        const url = new URL(base + where);
        for (const { name, in: place } of parameters)
          if (place === 'query' && values[name] !== undefined) url.searchParams.set(name, String(values[name]));
        if (requestBody !== undefined)
          check(requestBody.content['application/json'].schema, body, `body of ${operationId}`);
        const response = await fetch(url, {
          method: method.toUpperCase(),
          headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const { status } = response;
        if (status === 204 && responses[status] !== undefined) return { status, body: null };
        const named = responses[status];
        const at = named?.$ref?.split('/').at(-1);
        const said = (at === undefined ? named : document.components.responses[at])?.content;
        if (said === undefined) assert.fail(`${operationId} must not answer ${status}: ${await response.text()}`);
        const type = response.headers.get('content-type')?.split(';', 1)[0] ?? '';
        const schema = said[type]?.schema;
        assert.ok(schema !== undefined, `${operationId} answers ${status} as ${type}`);
        if (type === 'text/event-stream') {
          await response.body?.cancel();
          return { status, body: null };
        }
        const text = await response.text();
        const value: unknown = type.endsWith('json') ? JSON.parse(text) : text;
        check(closed(document as never, schema), value, `${status} of ${operationId}`);
        return { status, body: value };
      });
    }
  return calls;
}

async function scene(t: TestContext, more: object = {}) {
  const upstream = await httpUpstream(t, (_, response) => void response.end('ok'));
  const gateway = await startTestGateway(t, {
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'a', role: 'admin', token: TOKEN }] },
    services: { s: { instances: [{ url: upstream.url }], circuitBreaker: {} } },
    routes: [
      { name: 'all', match: { path: '/a' }, service: 's', auth: 'public', rateLimit: { by: 'ip', limits: ['9/1h'] } },
    ],
    ...more,
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const response = await fetch(`${url}/api/openapi.json`, { headers: { authorization: `Bearer ${TOKEN}` } });
  const document = (await response.json()) as Document;
  return { gateway, calls: clientOf(document, `${url}/api`) };
}

const OF_FEATURES = /^(get|post|put|patch|delete)Features/;

test('every operation of the document answers as the document says', async (t) => {
  const { calls } = await scene(t);
  const left = new Set([...calls.keys()].filter((id) => !OF_FEATURES.test(id)));
  const call = async (id: string, given?: Given, status = 200) => {
    left.delete(id);
    const operation = calls.get(id) ?? assert.fail(`there is no ${id}: ${[...calls.keys()].join(', ')}`);
    const answer = await operation(given);
    assert.equal(answer.status, status, `${id}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  for (const id of ['getStatus', 'getRoutes', 'getOverrides', 'getMe', 'getTraffic', 'getEvents', 'getConfig'])
    await call(id);
  for (const id of ['getTrafficStream', 'getEventsStream', 'getRequestsStream']) await call(id);
  await call('getPageStream', { values: { read: '/status', every: 5, after: 0 } });
  const [service] = (await call('getServices')).services;
  const { id } = service.instances[0];
  const why = { reason: 'by a client' };
  await call('postRoutesExplain', { body: { method: 'GET', url: '/a' } });
  const tried = await call('postRoutesTry', { body: { method: 'GET', url: '/a' } });
  assert.equal(tried.status, 200);
  await call('getLimits', { values: { address: '127.0.0.1' } });
  await call('postLimitsReset', { body: { address: '127.0.0.1', ...why } });
  await call('putInstancesIdDrain', { values: { id }, body: { ...why, forMs: 60_000 } });
  await call('deleteInstancesIdDrain', { values: { id } });
  await call('putInstancesIdWeight', { values: { id }, body: { ...why, weight: 3 } });
  await call('deleteInstancesIdWeight', { values: { id } });
  const another = { url: 'http://127.0.0.1:9', ...why };
  const { target } = await call('putServicesNameInstances', { values: { name: 's' }, body: another });
  await call('putInstancesIdRemoved', { values: { id: target }, body: why });
  await call('deleteInstancesIdRemoved', { values: { id: target } });
  await call('deleteInstancesIdAdded', { values: { id: target } });
  await call('putBreakersIdOpen', { values: { id: 's' }, body: { ...why, forMs: 60_000 } });
  await call('postBreakersIdReset', { values: { id: 's' } });
  await call('putLogLevel', { body: { level: 'debug', ...why, forMs: 60_000 } });
  await call('deleteLogLevel');
  await call('postLinks', { body: { role: 'viewer' } });
  await call('getConfigText');
  await call('postConfigCheck', { body: { text: 'routes: []\n' } });
  await call('putConfig', { body: { text: 'routes: []\n' }, headers: { 'if-match': '"0"' } }, 409);
  await call('postConfigReload', { body: why });
  await call('getConfigHistory');
  await call('getConfigHistoryRevision', { values: { revision: 99 } }, 404);
  await call('getConfigHistoryRevisionDiff', { values: { revision: 99 } }, 404);
  await call('postConfigRollback', { body: { revision: 99, ...why } }, 404);
  for (const kind of ['Cpu', 'Heap']) await call(`postProfiles${kind}`, { body: { ms: 100 } });
  assert.deepEqual([...left], [], 'operations that nobody tried');
});

test('so does every operation of features that are in use, each below its feature', async (t) => {
  const upstream = await httpUpstream(t, (_, response) => void response.end('ok'));
  const { calls } = await scene(t, {
    abuse: {},
    quotas: { stories: { per: 'day' } },
    cluster: { name: 'prod', node: 'one' },
    identity: { enabled: true, firstAdmin: 'off', passwords: { memory: '8mb', passes: 1 } },
    events: { streams: { notes: {} }, consumers: { robot: { stream: 'notes', service: 's', path: '/hook' } } },
    services: { s: { instances: [{ url: upstream.url }], circuitBreaker: {} } },
    routes: [{ name: 'all', match: { path: '/a' }, service: 's', auth: 'public', cache: {} }],
  });
  const left = new Set([...calls.keys()].filter((id) => OF_FEATURES.test(id)));
  const call = async (name: string, given?: Given) => {
    left.delete(name);
    const operation = calls.get(name) ?? assert.fail(`there is no ${name}: ${[...calls.keys()].join(', ')}`);
    const { status, body } = await operation(given);
    assert.ok(status < 300, `${name}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const password = 'ancient walrus paints 9 fences';
  const { id } = await call('postFeaturesIdentityUsers', { body: { email: 'ann@example.com', password } });
  await call('getFeaturesIdentityUsers', { values: { q: 'ann' } });
  await call('getFeaturesIdentityUsersId', { values: { id } });
  await call('patchFeaturesIdentityUsersId', { values: { id }, body: { displayName: 'Ann' } });
  await call('postFeaturesIdentityUsersIdPassword', { values: { id }, body: { newPassword: `${password} more` } });
  await call('deleteFeaturesIdentityUsersIdMfa', { values: { id } });
  await call('getFeaturesIdentityUsersIdSessions', { values: { id } });
  await call('deleteFeaturesIdentityUsersIdSessions', { values: { id } });
  left.delete('deleteFeaturesIdentityUsersIdSessionsSession');
  const made = await call('postFeaturesIdentityUsersIdKeys', { values: { id }, body: { name: 'ci' } });
  await call('getFeaturesIdentityUsersIdKeys', { values: { id } });
  const key = await call('postFeaturesIdentityKeysKeyRotate', { values: { key: made.id }, body: {} });
  await call('deleteFeaturesIdentityKeysKey', { values: { key: key.id } });
  await call('deleteFeaturesIdentityUsersId', { values: { id } });
  for (const name of ['Audit', 'AuditHead', 'AuditVerify']) await call(`getFeaturesIdentity${name}`);
  const checked = await call('postFeaturesIdentityTokensCheck', { body: { token: 'none-of-ours' } });
  assert.equal(checked.active, false);
  left.delete('deleteFeaturesIdentityTokensJti');
  const ban = await call('postFeaturesLimitsBans', { body: { kind: 'user', subject: 'mallory', for: '1h' } });
  assert.equal((await call('getFeaturesLimitsBans')).bans.length, 1);
  await call('deleteFeaturesLimitsBansId', { values: { id: ban.id } });
  await call('getFeaturesLimitsUsage', { values: { account: 'mia' } });
  await call('getFeaturesLimitsUsageHistory', { values: { account: 'mia' } });
  const period = new Date().toISOString().slice(0, 10);
  const exported = await call('getFeaturesLimitsUsageExport', {
    values: { quota: 'stories', period, partial: 'true' },
  });
  assert.equal(exported.quota, 'stories');
  await call('getFeaturesCache');
  await call('postFeaturesCachePurge', { body: { all: true } });
  for (const name of ['Streams', 'Asyncapi', 'Consumers', 'Dead']) await call(`getFeaturesEvents${name}`);
  await call('getFeaturesEventsDeadConsumer', { values: { consumer: 'robot' } });
  left.delete('getFeaturesEventsDeadConsumerPosition');
  for (const name of ['Replay', 'Drop'])
    assert.equal(
      Object.values(await call(`postFeaturesEventsDead${name}`, { body: { consumer: 'robot', all: true } }))[0],
      0,
    );
  for (const name of ['Cluster', 'Nodes', 'ClusterRollouts']) await call(`getFeaturesCluster${name}`);
  const rest = [...left].filter((each) => !each.includes('FeaturesCluster'));
  assert.deepEqual(rest, [], 'operations that nobody tried');
});
