/** The Redis cache of the AIVillage document: two gateways, one Redis. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { startRedis } from '../../test/support/redis.ts';
import { type AiVillage, eventually, startAiVillage } from './testing.ts';

interface Got {
  readonly how: string;
  readonly body: string;
}

/** With a name of its own, which both gateways have; their ports differ. */
function get({ url, holder }: AiVillage, path: string, user: string): Promise<Got> {
  const { headers } = holder({ sub: user, scopes: ['read'], mfa_verified: true, rate_limit_tier: 'enterprise' });
  return new Promise((resolve, reject) => {
    request(`${url}${path}`, { headers: { ...headers, host: 'aivillage.example' } }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => {
        assert.equal(response.statusCode, 200, body);
        resolve({ how: String(response.headers['cache-status']), body });
      });
    })
      .on('error', reject)
      .end();
  });
}

test('with REDIS_URL what one gateway fetched for a user is a hit in another, for that user', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const start = (): Promise<AiVillage> =>
    startAiVillage(
      t,
      (document) => {
        // A second is over before a busy machine has asked twice; a slow Redis would be a miss.
        document.stores = { cacheRedis: { timeout: '5s' } };
        for (const route of document.routes) if (route.cache) route.cache.lifetimes = { 200: '10m' };
      },
      { REDIS_URL: redis.url, CACHE_STORE: 'redis' },
    );
  const [one, other] = [await start(), await start()];
  let tries = 0;
  let path = '';
  await eventually(async () => {
    path = `/v1/fog/nodes?try=${++tries}`;
    const known = await get(one, path, 'ada');
    // Written while nobody waits for it.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const { how, body } = await get(other, path, 'ada');
    return how.includes('; hit') && how.includes('detail=redis') && body === known.body;
  }, 'the other gateway has it from Redis');
  assert.doesNotMatch((await get(other, path, 'bob')).how, /; hit/);
});
