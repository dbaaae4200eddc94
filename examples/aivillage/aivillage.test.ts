/** Every call of the AIVillage document against the running example, its health body, its errors, and who may call. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { suiteScope } from '../../test/support/scope.ts';
import { type AiVillage, eventually, listen, type Person, signed, startAiVillage } from './testing.ts';

const TRAIN = { phase_name: 'cognate', real_training: true, max_steps: 40, batch_size: 2 };

describe('AIVillage', () => {
  const scope = suiteScope();
  let village: AiVillage;
  let user: Person;
  let model: string;

  before(async () => {
    village = await startAiVillage(scope);
    user = village.holder({
      sub: 'user123',
      scopes: ['read', 'write'],
      mfa_verified: true,
      rate_limit_tier: 'enterprise',
    });
    await Promise.all([village.node('fog-1'), village.node('fog-2')]);
  });

  it('answers /health with the body of the document', async () => {
    const { status, body } = await village.anybody('198.51.100.1').call('GET', '/health');
    assert.equal(status, 200);
    assert.equal(body.status, 'healthy');
    assert.match(body.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert.equal(body.version, '1.0.0');
    for (const name of ['agent_forge', 'p2p_fog'])
      assert.deepEqual(body.services[name], { status: 'running', available: true });
    assert.deepEqual(body.services.websocket, { status: 'running', active_connections: 0 });
  });

  it('trains a phase in the background and tells how far it is over /ws, which answers pings', async (t) => {
    const { socket, until, got } = await listen(t, village, { authorization: user.headers['authorization']! });
    socket.send(JSON.stringify({ type: 'ping' }));
    await until('pong');
    assert.equal(
      (await village.anybody('198.51.100.1').call('GET', '/health')).body.services.websocket.active_connections,
      1,
    );
    const begun = await user.call('POST', '/v1/models/train', TRAIN);
    assert.deepEqual([begun.status, begun.body.success, begun.body.status], [202, true, 'queued']);
    assert.equal(begun.body.phases.length, 7);
    const first = await until('training_progress');
    assert.deepEqual([first['job_id'], first['phase'], first['progress']], [begun.body.job_id, 'cognate', 0]);
    const done = await until('training_complete');
    assert.equal(done['progress'], 1);
    assert.ok((done['loss'] as number) < (done['loss_before'] as number) - 0.2, 'it has learned something');
    const steps = got.filter(({ type }) => type === 'training_progress').map(({ progress }) => progress as number);
    assert.deepEqual(
      steps,
      [...steps].sort((a, b) => a - b),
    );
    model = String(done['model_id']);
    assert.match(model, /^cognate-model-\d+$/);
  });

  it('a page says who it is by its first message, and gets nothing of others', async (t) => {
    const page = await listen(t, village, {});
    page.socket.send(JSON.stringify({ type: 'auth', token: signed({ sub: 'user123', scopes: ['read'] }) }));
    await page.until('authenticated');
    const stranger = await listen(t, village, {});
    stranger.socket.send(JSON.stringify({ type: 'auth', token: signed({ sub: 'stranger', scopes: ['read'] }) }));
    await stranger.until('authenticated');
    await user.call('POST', '/v1/models/train', { ...TRAIN, max_steps: 1 });
    await page.until('training_complete');
    stranger.socket.send(JSON.stringify({ type: 'ping' }));
    await stranger.until('pong');
    assert.deepEqual(
      stranger.got.map(({ type }) => type),
      ['authenticated', 'pong'],
    );
    const liar = await listen(t, village, {});
    liar.socket.send(JSON.stringify({ type: 'auth', token: 'none' }));
    await new Promise((resolve) => liar.socket.once('close', resolve));
  });

  it('goes through all seven phases, each from the model before', async () => {
    const { body } = await user.call('GET', '/v1/models');
    for (const phase of body.phases.slice(1)) {
      const begun = await user.call('POST', '/v1/models/train', { ...TRAIN, phase_name: phase, max_steps: 12 });
      assert.equal(begun.status, 202, begun.text);
    }
    await eventually(async () => {
      const { training } = (await user.call('GET', '/v1/models')).body;
      assert.ok(training.every(({ state }: { state: string }) => state !== 'failed'));
      return training.filter(({ state }: { state: string }) => state === 'complete').length === 8;
    }, 'all phases are complete');
    const { models } = (await user.call('GET', '/v1/models')).body;
    const phases = models.map((each: { phase: string }) => each.phase).reverse();
    assert.deepEqual(phases, [
      'cognate',
      'cognate',
      'evomerge',
      'quietstar',
      'bitnet',
      'forge',
      'baking',
      'compression',
    ]);
    // Queued together: each began with the newest that was there when it was asked for.
    assert.ok(models.slice(0, 6).every(({ base_model }: { base_model: string }) => base_model === models[6].id));
    assert.ok(models[0].size_bytes < models.at(-1).size_bytes / 5, 'compression makes it small');
  });

  it('lets people chat with a model, and keeps conversations apart', async () => {
    const ask = { model_id: model, message: 'Hello, how can you help me?', conversation_id: 'conv-456' };
    const first = await user.call('POST', '/v1/chat', ask);
    assert.equal(first.status, 200, first.text);
    assert.deepEqual([first.body.success, first.body.conversation_id, first.body.turns], [true, 'conv-456', 2]);
    assert.ok(first.body.response.length > 0);
    assert.equal((await user.call('POST', '/v1/chat', ask)).body.turns, 4);
    const other = village.holder({ sub: 'other', scopes: ['read', 'write'] });
    assert.equal((await other.call('POST', '/v1/chat', ask)).body.turns, 2, "another's conversation of this name");
    assert.match(
      (await other.call('POST', '/v1/chat', { ...ask, conversation_id: undefined })).body.conversation_id,
      /^conv-/,
    );
    const gone = await user.call('POST', '/v1/chat', { ...ask, model_id: 'cognate-model-123' });
    assert.deepEqual([gone.status, gone.body.error_code], [404, 'RESOURCE_NOT_FOUND']);
  });

  it('shows nodes that really joined, how they reach one another, and a ledger that balances', async () => {
    // biome-ignore lint/suspicious/noExplicitAny: looked into freely
    let status: any;
    await eventually(async () => {
      status = (await user.call('GET', '/v1/p2p/status')).body;
      return status.bitchat.links?.length >= 2;
    }, 'the nodes know one another');
    assert.deepEqual([status.bitchat.status, status.betanet.status, status.peers], ['connected', 'connected', 2]);
    const { body } = await user.call('GET', '/v1/fog/nodes');
    assert.equal(body.alive, 2);
    for (const node of body.nodes) {
      assert.ok(node.tasks_done > 0 && node.tasks_wrong === 0, JSON.stringify(node));
      assert.ok(node.resources.hashes_per_second > 0 && node.resources.memory_mb > 0);
    }
    const { body: tokens } = await user.call('GET', '/v1/tokens');
    assert.deepEqual([tokens.token, tokens.supply, tokens.balanced, tokens.balance], ['FOG', 1_000_000, true, 0]);
    const earned = tokens.accounts.reduce((sum: number, { amount }: { amount: number }) => sum + amount, 0);
    assert.ok(earned >= 2);
    assert.equal(tokens.treasury + earned, tokens.supply);
  });

  it('notices a node that goes', async () => {
    const third = await village.node('fog-3');
    const alive = async (): Promise<number> => (await user.call('GET', '/v1/fog/nodes')).body.alive;
    await eventually(async () => (await alive()) === 3, 'the third has joined');
    await third.close();
    await eventually(async () => (await alive()) === 2, 'the third has left');
  });

  it('takes tokens as the document makes them, API keys of the environment, and accounts', async () => {
    const [premium, standard] = [village.anybody('198.51.100.2'), village.anybody('198.51.100.3')];
    premium.headers['x-api-key'] = 'key123';
    standard.headers['x-api-key'] = 'key456';
    assert.equal((await premium.call('GET', '/v1/models')).headers.get('x-ratelimit-limit'), '200');
    assert.equal((await standard.call('GET', '/v1/models')).headers.get('x-ratelimit-limit'), '60');
    assert.equal((await user.call('GET', '/v1/models')).headers.get('x-ratelimit-limit'), '500');
    const denied = await standard.call('POST', '/v1/models/train', TRAIN);
    assert.deepEqual([denied.status, denied.body.error_code], [403, 'INSUFFICIENT_PERMISSIONS']);
    const ada = await village.person('ada');
    assert.equal((await ada.call('GET', '/v1/tokens')).status, 200);
    for (const bad of [
      signed({ sub: 'user123', scopes: ['read'] }, 'another-secret-of-thirty-two-bytes-..'),
      signed({ sub: 'user123', scopes: ['read'], exp: 1 }),
      signed({ sub: 'user123', scopes: ['read'] }).replace(
        /^[^.]*/,
        Buffer.from('{"alg":"none"}').toString('base64url'),
      ),
    ]) {
      const { status, body } = await village.anybody('198.51.100.4').call('GET', '/v1/models', undefined, {
        authorization: `Bearer ${bad}`,
      });
      assert.deepEqual([status, body.error_code, body.success], [401, 'AUTHENTICATION_REQUIRED', false]);
    }
  });

  it('tokens are created, validated, refreshed and revoked', async () => {
    const bo = await village.person('bo');
    const made = await village.gatehouse(
      'token',
      '--user',
      bo.id,
      '--scopes',
      'read',
      '--plan',
      'premium',
      '--mfa',
      '--json',
    );
    const { accessToken, jti } = JSON.parse(made) as { accessToken: string; jti: string };
    const holder = village.anybody('198.51.100.5');
    holder.headers['authorization'] = `Bearer ${accessToken}`;
    assert.equal((await holder.call('GET', '/v1/models')).headers.get('x-ratelimit-limit'), '200');
    await village.gatehouse('token', 'revoke', jti);
    await eventually(async () => (await holder.call('GET', '/v1/models')).status === 401, 'it is revoked');
    const refreshed = await bo.call('POST', '/v1/auth/refresh', { refreshToken: bo.refreshToken });
    assert.equal(refreshed.status, 200);
  });

  it('every error has the body of the document', async () => {
    const anybody = village.anybody('198.51.100.6');
    const cases = [
      [await anybody.call('GET', '/v1/models'), 401, 'AUTHENTICATION_REQUIRED'],
      [await user.call('GET', '/v1/nothing'), 404, 'RESOURCE_NOT_FOUND'],
      [await user.call('POST', '/v1/models/train', { ...TRAIN, phase_name: 'none' }), 400, 'VALIDATION_ERROR'],
      [await user.call('POST', '/v1/chat', { model_id: model }), 400, 'VALIDATION_ERROR'],
      [await user.call('POST', '/v1/query', '{'), 400, 'VALIDATION_ERROR'],
    ] as const;
    for (const [answer, status, code] of cases) {
      assert.equal(answer.status, status, answer.text);
      assert.equal(answer.body.success, false);
      assert.equal(answer.body.error_code, code);
      assert.ok(answer.body.message && answer.body.timestamp && answer.body.request_id, answer.text);
    }
    await village.drill('p2p_fog', 'errors');
    const failed = await user.call('GET', '/v1/tokens');
    await village.drill('p2p_fog', 'off');
    assert.deepEqual([failed.status, failed.body.error_code], [500, 'INTERNAL_ERROR']);
  });

  it('leads clients of the old server from /query to /v1/query, method and body and all', async () => {
    const old = await fetch(`${village.url}/query`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    assert.deepEqual([old.status, old.headers.get('location')], [308, '/v1/query']);
  });

  it('packs large responses, is careful with browsers, and shows metrics', async () => {
    const response = await user.call('GET', '/v1/models', undefined, { 'accept-encoding': 'gzip' });
    assert.equal(response.headers.get('content-encoding'), 'gzip');
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    const preflight = await fetch(`${village.url}/v1/models`, {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:3000', 'access-control-request-method': 'GET' },
    });
    assert.equal(preflight.headers.get('access-control-allow-origin'), 'http://localhost:3000');
    const { text } = await village.anybody('127.0.0.1').call('GET', '/metrics');
    assert.match(text, /^gatehouse_requests_total\{route="train",status="202"\} 8$/m);
    assert.match(text, /^gatehouse_request_duration_seconds_count\{route="models"\} [1-9]/m);
    const again = await user.call('GET', '/v1/models');
    assert.match(again.headers.get('cache-status') ?? '', /gatehouse/i);
  });

  it('describes itself: one document of all services, on /docs and /redoc', async () => {
    const anybody = village.anybody('198.51.100.7');
    const { body } = await anybody.call('GET', '/openapi.json');
    assert.match(body.openapi, /^3\.1/);
    const operations: readonly (readonly [string, string])[] = [
      ['post', '/v1/models/train'],
      ['get', '/v1/models'],
      ['post', '/v1/chat'],
      ['get', '/v1/p2p/status'],
      ['get', '/v1/fog/nodes'],
      ['get', '/v1/tokens'],
      ['post', '/v1/query'],
      ['post', '/v1/upload'],
    ];
    for (const [method, path] of operations) {
      const operation = body.paths[path]?.[method];
      assert.ok(operation?.summary !== undefined, `${method} ${path}`);
      assert.ok(operation.responses['429'] !== undefined && operation.security.length > 0, `${method} ${path}`);
    }
    assert.ok(body.paths['/v1/models/train'].post.requestBody.content['application/json'].schema.properties.phase_name);
    for (const path of ['/docs', '/redoc']) {
      const page = await anybody.call('GET', path);
      assert.deepEqual([page.status, page.headers.get('content-type')?.startsWith('text/html')], [200, true], path);
      assert.doesNotMatch(page.text, /https?:\/\/(?!127\.0\.0\.1)[^"' ]+\.(js|css)/, `${path} needs nobody else`);
    }
  });

  it('a service that is gone is 503, and the others go on', async () => {
    await village.stopService('p2p_fog');
    await eventually(async () => {
      const { status, body } = await user.call('GET', '/v1/tokens');
      return status === 503 && body.error_code === 'SERVICE_UNAVAILABLE';
    }, 'the gateway knows that it is gone');
    assert.equal((await user.call('GET', '/v1/models')).status, 200);
    const { body } = await village.anybody('198.51.100.1').call('GET', '/health');
    assert.equal(body.status, 'degraded');
    assert.equal(body.services.p2p_fog.available, false);
  });
});
