/** Limits and quotas in the example: by plan, by family, for occasions, by key; and what is recorded for billing. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { suiteScope } from '../../test/support/scope.ts';
import { type StoryVerse, startStoryVerse, Visitor } from './testing.ts';

const STORY = { title: 'The Hare', text: 'A hare ran over the hill.' };
const CHILD_PASSWORD = 'purple crayons on the wall';
const PARTNER_KEY = 'a-key-of-a-partner-of-the-tests';

async function member(story: StoryVerse, name: string, address: string): Promise<Visitor> {
  const made = new Visitor(story.url, address);
  assert.equal((await made.register(name)).status, 201);
  return made;
}

describe('StoryVerse limits', () => {
  const scope = suiteScope();
  let story: StoryVerse;

  before(async () => {
    story = await startStoryVerse(scope, () => {}, {
      API_KEY_1: `${PARTNER_KEY}:partner:library:read,generate:text:partner`,
    });
  });

  it('lets a basic account make five stories a day, and says when there are more', async () => {
    const ada = await member(story, 'ada', '203.0.113.1');
    const wrong = await ada.call('POST', '/api/stories', { title: '' });
    assert.equal(wrong.status, 400);
    for (let left = 4; left >= 0; left--) {
      const made = await ada.call('POST', '/api/stories', STORY);
      assert.equal(made.status, 201, 'what was refused by the service did not count');
      assert.match(made.headers.get('ratelimit') ?? '', new RegExp(`r=${left};`));
    }
    const sixth = await ada.call('POST', '/api/stories', STORY);
    assert.deepEqual([sixth.status, sixth.body.code], [429, 'QUOTA_EXCEEDED']);
    const wait = Number(sixth.headers.get('retry-after'));
    assert.ok(wait > 0 && wait <= 86_400, `${wait} s until midnight`);
    assert.equal((await ada.call('GET', '/api/stories')).body.stories.length, 5, 'reading goes on');

    // What was used is written down within seconds, not in the request.
    const deadline = performance.now() + 8_000;
    for (;;) {
      const { body } = await ada.call('GET', '/api/v1/usage');
      const { used, limit } = body.quotas.find(({ quota }: { quota: string }) => quota === 'stories');
      assert.equal(limit, 5);
      if (used === 5) break;
      assert.ok(performance.now() < deadline, `${used} are recorded`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  it('gives a premium account twenty', async () => {
    const bo = await member(story, 'bo', '203.0.113.2');
    for (let i = 0; i < 5; i++) assert.equal((await bo.call('POST', '/api/stories', STORY)).status, 201);
    assert.equal((await bo.call('POST', '/api/stories', STORY)).status, 429);
    await story.gatehouse('user', 'plan', 'bo', '--plan', 'premium');
    assert.equal((await bo.refresh()).status, 200);
    for (let i = 5; i < 20; i++)
      assert.equal((await bo.call('POST', '/api/stories', STORY)).status, 201, `story ${i + 1}`);
    assert.equal((await bo.call('POST', '/api/stories', STORY)).status, 429);
  });

  it('takes a child’s stories from its own share and from its parent’s', async () => {
    const cyd = await member(story, 'cyd', '203.0.113.3');
    const rules = { quotas: { stories: 2 } };
    const birthDate = `${new Date().getUTCFullYear() - 9}-01-01`;
    await cyd.call('POST', '/api/auth/children', { username: 'kid', password: CHILD_PASSWORD, birthDate, rules });
    const kid = new Visitor(story.url, '203.0.113.4');
    await kid.login('kid', CHILD_PASSWORD);
    for (const want of [201, 201, 429]) assert.equal((await kid.call('POST', '/api/stories', STORY)).status, want);
    for (const want of [201, 201, 201, 429]) assert.equal((await cyd.call('POST', '/api/stories', STORY)).status, want);
  });

  it('lets a basic account ask 60 times a minute over all routes together', async () => {
    const dee = await member(story, 'dee', '203.0.113.5');
    const paths = ['/api/stories', '/api/universes', '/api/characters/alice'];
    for (let i = 0; i < 60; i++) {
      const answer = await dee.call('GET', paths[i % paths.length]!);
      if (answer.status === 200) continue;
      // The bucket fills by one a second; while the 60 are under way it can only be kinder.
      assert.fail(`request ${i + 1} was answered with ${answer.status}`);
    }
    let refused = await dee.call('GET', '/api/stories');
    for (let i = 0; i < 20 && refused.status === 200; i++) refused = await dee.call('GET', '/api/stories');
    assert.equal(refused.status, 429);
    assert.match(refused.headers.get('ratelimit-policy') ?? '', /q=60;w=60/);
    assert.match(refused.headers.get('ratelimit') ?? '', /"[^"]+";r=0;t=\d/);
    assert.equal(refused.body.code, 'RATE_LIMIT_EXCEEDED');
    assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    const other = await member(story, 'dirk', '203.0.113.5');
    assert.equal((await other.call('GET', '/api/stories')).status, 200, 'another account is not affected');
  });

  it('throttles generation more than anything else', async () => {
    const eve = await member(story, 'eve', '203.0.113.6');
    const statuses: number[] = [];
    for (let i = 0; i < 14; i++)
      statuses.push((await eve.call('POST', '/api/generate/image', { text: 'A fox in the snow.' })).status);
    const passed = statuses.filter((status) => status === 200).length;
    assert.ok(passed >= 10 && passed < 14, statuses.join(' '));
    assert.equal((await eve.call('GET', '/api/stories')).status, 200);
  });

  it('lets a program with a key come as often as the partners’ plan says, and none without', async () => {
    const program = new Visitor(story.url, '203.0.113.7');
    const list = await program.call('GET', '/api/universes', undefined, { 'x-api-key': PARTNER_KEY });
    assert.equal(list.status, 200);
    assert.match(list.headers.get('ratelimit-policy') ?? '', /q=3000;w=60/);
    const prompt = { prompt: 'a fox' };
    for (let i = 0; i < 7; i++)
      assert.equal(
        (await program.call('POST', '/api/generate/text', prompt, { 'x-api-key': PARTNER_KEY })).status,
        200,
      );
    assert.equal((await program.call('GET', '/api/universes')).status, 401);
    assert.equal((await program.call('GET', '/api/universes', undefined, { 'x-api-key': 'a wrong key' })).status, 401);
    assert.equal((await program.call('POST', '/api/stories', STORY, { 'x-api-key': PARTNER_KEY })).status, 403);
  });

  it('records what was used, for billing', async () => {
    const made = await story.gatehouse(
      'user',
      'create',
      '--email',
      'chief@example.com',
      '--username',
      'chief',
      '--admin',
      '--json',
    );
    const admin = new Visitor(story.url, '203.0.113.8');
    assert.equal((await admin.login('chief', JSON.parse(made).password)).status, 200);
    const today = new Date().toISOString().slice(0, 10);
    const { status, text, headers } = await admin.call(
      'GET',
      `/api/v1/usage/export?quota=stories&period=${today}&format=csv&partial=true`,
    );
    assert.equal(status, 200, text);
    assert.match(headers.get('content-type') ?? '', /^text\/csv/);
    assert.ok(text.trim().split('\n').length >= 4, text);
    const ada = new Visitor(story.url, '203.0.113.1');
    await ada.login('ada');
    assert.equal((await ada.call('GET', `/api/v1/usage/export?quota=stories&period=${today}`)).status, 403);
  });
});

describe('StoryVerse with settings of a test', () => {
  const scope = suiteScope();
  let story: StoryVerse;

  before(async () => {
    story = await startStoryVerse(scope, (document) => {
      const hour = 3_600_000;
      const [start, end] = [Date.now() - hour, Date.now() + hour].map((ms) => new Date(ms).toISOString());
      document.plans.basic.occasions = [{ name: 'a birthday', start, end, extra: 2 }];
      document.identity.sessions = { reuseGrace: 0 };
    });
  });

  it('gives a plan more while a special occasion lasts', async () => {
    const fay = await member(story, 'fay', '203.0.113.1');
    for (let i = 0; i < 7; i++)
      assert.equal((await fay.call('POST', '/api/stories', STORY)).status, 201, `story ${i + 1}`);
    assert.equal((await fay.call('POST', '/api/stories', STORY)).status, 429);
  });

  it('ends the session of a refresh token that is used again later: somebody has a copy', async () => {
    const gus = await member(story, 'gus', '203.0.113.2');
    const spent = gus.refreshToken;
    await gus.refresh();
    const thief = new Visitor(story.url, '198.51.100.66');
    assert.equal((await thief.call('POST', '/api/auth/refresh', { refreshToken: spent })).status, 401);
    assert.equal((await gus.refresh()).status, 401, 'the family is dead for both');
    const deadline = performance.now() + 5_000;
    while ((await gus.call('GET', '/api/stories')).status !== 401)
      assert.ok(performance.now() < deadline, 'the access token lives on');
    assert.match(await story.gatehouse('audit', 'list'), /reuse/);
  });
});
