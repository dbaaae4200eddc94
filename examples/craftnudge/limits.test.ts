/** How much callers may do, by class of operation; and the variables of the document. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answer, type CraftNudge, commitOf, type Person, startCraftNudge } from './testing.ts';

/** Asks until it is told to wait; the number of good answers. */
async function goodAnswers(person: Person, ask: (person: Person) => Promise<Answer>): Promise<[number, Answer]> {
  for (let good = 0; good <= 250; good++) {
    const answer = await ask(person);
    if (answer.status === 429) return [good, answer];
    assert.ok(answer.status < 300, answer.text);
  }
  throw new Error('there is no limit');
}

describe('CraftNudge: limits', () => {
  const classes: readonly (readonly [string, number, (person: Person) => Promise<Answer>])[] = [
    ['write', 30, (person) => person.call('POST', '/api/v1/commits/track', commitOf(1))],
    ['analytics', 20, (person) => person.call('GET', '/api/v1/analytics/metrics')],
    ['notifications', 10, (person) => person.call('POST', '/api/v1/notifications/send', { title: 'Tea' })],
    ['read', 100, (person) => person.call('GET', '/api/v1/commits?limit=1')],
  ];

  it('each class has its own: reading most, then writing, analytics, notifications; others do not notice', async (t) => {
    const craft = await startCraftNudge(t);
    const ada = await craft.person('ada');
    const first = await ada.call('GET', '/api/v1/commits');
    assert.deepEqual(
      [first.headers.get('x-ratelimit-limit'), first.headers.get('x-ratelimit-remaining')],
      ['100', '99'],
    );
    const reset = Number(first.headers.get('x-ratelimit-reset'));
    assert.ok(reset > Date.now() / 1_000 - 60 && reset < Date.now() / 1_000 + 120, `${reset}`);
    for (const [name, limit, ask] of classes) {
      const [good, answer] = await goodAnswers(ada, ask);
      // While they are asked for, time gives some back.
      assert.ok(good >= limit - 1 && good < limit * 2, `${name}: ${good} of ${limit}`);
      assert.equal(answer.body.error.code, 'RATE_LIMIT_EXCEEDED');
      assert.equal(answer.headers.get('x-ratelimit-limit'), String(limit), name);
      assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    }
    const bo = await craft.person('bo');
    for (const [name, , ask] of classes) assert.ok((await ask(bo)).status < 300, name);
  });

  it('GATEWAY_PORT, JWT_SECRET and RATE_LIMIT_DEFAULT do what the document says', async (t) => {
    const secret = 'a-secret-of-thirty-two-bytes-or-more';
    const craft: CraftNudge = await startCraftNudge(t, undefined, { JWT_SECRET: secret, RATE_LIMIT_DEFAULT: '3' });
    const ada = await craft.person('ada');
    const [head = '', , signature] = ada.headers['authorization']!.replace('Bearer ', '').split('.');
    assert.equal(JSON.parse(Buffer.from(head, 'base64url').toString()).alg, 'HS256');
    assert.ok(signature);
    const [good] = await goodAnswers(ada, (person) => person.call('GET', '/api/v1/commits'));
    assert.ok(good >= 3 && good < 6, `${good}`);
    assert.equal((await ada.call('POST', '/api/v1/commits/track', commitOf(1))).status, 201, 'another class');
  });
});
