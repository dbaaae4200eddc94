/** The three plans to the number, the message of the document, MFA, and the variables. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { httpCollector } from '../../test/support/otlp-collector.ts';
import { eventually, startAiVillage } from './testing.ts';

describe('AIVillage: plans, MFA, variables', () => {
  it('standard is 60, premium 200 and enterprise 500 a minute; 1,000, 5,000 and 10,000 an hour', async (t) => {
    const village = await startAiVillage(t);
    const plans: readonly (readonly [string, number, number])[] = [
      ['standard', 60, 1_000],
      ['premium', 200, 5_000],
      ['enterprise', 500, 10_000],
    ];
    for (const [tier, minute, hour] of plans) {
      const user = village.holder({ sub: `of-${tier}`, scopes: ['read'], rate_limit_tier: tier });
      const first = await user.call('GET', '/v1/tokens');
      assert.equal(first.status, 200);
      assert.match(first.headers.get('ratelimit-policy') ?? '', new RegExp(`q=${minute};w=60.*q=${hour};w=3600`));
      const startedMs = performance.now();
      let good = 1;
      let refused = first;
      while (refused.status === 200) {
        const answers = await Promise.all(Array.from({ length: 20 }, () => user.call('GET', '/v1/tokens')));
        good += answers.filter(({ status }) => status === 200).length;
        refused = answers.find(({ status }) => status === 429) ?? first;
      }
      const back = Math.ceil(((performance.now() - startedMs) / 60_000) * minute) + 1;
      assert.ok(good >= minute && good <= minute + back, `${tier}: ${good}, ${back} came back meanwhile`);
      assert.deepEqual(
        [refused.body.success, refused.body.error_code, refused.body.message],
        [false, 'RATE_LIMIT_EXCEEDED', `Rate limit exceeded for tier ${tier}`],
      );
      assert.deepEqual(Object.keys(refused.body).sort(), [
        'error_code',
        'message',
        'reason',
        'request_id',
        'success',
        'timestamp',
      ]);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    }
  });

  it('REQUIRE_MFA: an account without a second factor may do nothing but set one up', async (t) => {
    const village = await startAiVillage(t, undefined, { REQUIRE_MFA: 'true' });
    const ada = await village.person('ada');
    const refused = await ada.call('GET', '/v1/models');
    assert.deepEqual([refused.status, refused.body.error_code], [403, 'MFA_REQUIRED']);
    assert.equal((await ada.call('POST', '/v1/auth/mfa/totp')).status, 201);
  });

  it('tracing: with OTEL_EXPORTER_OTLP_ENDPOINT each request is a span, and so is each attempt at a service', async (t) => {
    const collector = await httpCollector(t);
    const village = await startAiVillage(t, undefined, {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER: 'always_on',
    });
    const user = village.holder({ sub: 'user123', scopes: ['read'] });
    assert.equal((await user.call('GET', '/v1/tokens')).status, 200);
    await eventually(
      async () => collector.spans.some(({ name }) => name === 'GET /v1/tokens') && collector.spans.length >= 2,
      'the spans are at the collector',
    );
  });

  it('HOST, PORT, WORKERS and LOG_LEVEL are the document’s; without JWT_SECRET_KEY it does not start', async (t) => {
    const village = await startAiVillage(t, undefined, { HOST: '127.0.0.1', WORKERS: '2', LOG_LEVEL: 'warn' });
    const { body } = await village.anybody('127.0.0.1').call('GET', '/status');
    assert.equal(body.workers.length ?? body.workers, 2, JSON.stringify(body.workers));
    await assert.rejects(startAiVillage(t, undefined, { JWT_SECRET_KEY: '' }), /jwt_handler/);
    await assert.rejects(startAiVillage(t, undefined, { JWT_SECRET_KEY: 'short' }), /32/);
  });
});
