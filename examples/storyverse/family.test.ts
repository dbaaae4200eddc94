/**
 * Parents and children in the example: who sees whose stories, what an age keeps away, and that a child cannot change
 * that.
 */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { suiteScope } from '../../test/support/scope.ts';
import { type StoryVerse, startStoryVerse, Visitor } from './testing.ts';

const CHILD_PASSWORD = 'purple crayons on the wall';
const MILD = { title: 'The Hare', text: 'A hare ran over the hill.' };
const GRIM = { title: 'The Grave', text: 'There was blood on the sword, and a ghost.' };

/** Somebody who was eight this year, whatever year it is. */
const birthDate = `${new Date().getUTCFullYear() - 8}-01-01`;

describe('StoryVerse families', () => {
  const scope = suiteScope();
  let story: StoryVerse;
  let parent: Visitor;
  let child: Visitor;
  let childId: string;
  let mild: string;
  let grim: string;

  before(async () => {
    story = await startStoryVerse(scope);
    parent = new Visitor(story.url, '203.0.113.1');
    await parent.register('ada');
    const rules = { contentRating: 9, blockedTopics: ['wolves'], quotas: { stories: 3 } };
    const made = await parent.call('POST', '/api/auth/children', {
      username: 'kid',
      password: CHILD_PASSWORD,
      birthDate,
      rules,
    });
    assert.equal(made.status, 201);
    childId = made.body.id;
    mild = (await parent.call('POST', '/api/stories', MILD)).body.id;
    grim = (await parent.call('POST', '/api/stories', GRIM)).body.id;
    child = new Visitor(story.url, '203.0.113.2');
    assert.equal((await child.login('kid', CHILD_PASSWORD)).status, 200);
  });

  it('puts what the parent allows into the child’s token, and the age rather than the birth date', () => {
    const claims = JSON.parse(Buffer.from(child.accessToken.split('.')[1]!, 'base64url').toString());
    assert.deepEqual(claims.roles, ['child']);
    // The parent allows 9, but the child is 8.
    assert.deepEqual([claims.par, claims.age_band, claims.content_rating], [parent.id, '7-12', 8]);
    assert.deepEqual([claims.blocked_topics, claims.quotas], [['wolves'], { stories: 3 }]);
    assert.ok(!JSON.stringify(claims).includes(birthDate));
  });

  it('shows a child what its parent wrote, as far as it is for its age', async () => {
    assert.equal((await child.call('GET', `/api/stories/${mild}`)).status, 200);
    assert.equal((await child.call('GET', `/api/stories/${grim}`)).status, 404, 'what it may not see does not exist');
    const { body } = await child.call('GET', '/api/stories');
    assert.deepEqual(
      body.stories.map(({ id }: { id: string }) => id),
      [mild],
    );
    assert.equal((await child.call('PUT', `/api/stories/${mild}`, MILD)).status, 404, 'reading is not owning');
    assert.equal((await child.call('DELETE', `/api/stories/${mild}`)).status, 404);
  });

  it('leaves universes and characters above its age out of lists, and refuses them by name', async () => {
    const { body } = await child.call('GET', '/api/universes');
    const ids = body.universes.map(({ id }: { id: string }) => id);
    assert.ok(ids.includes('wonderland') && !ids.includes('carpathians'));
    assert.ok(!ids.includes('jungle'), 'for its age, but of wolves, which the parent blocks');
    for (const path of ['/api/universes/carpathians', '/api/universes/jungle', '/api/characters/count']) {
      const refused = await child.call('GET', path);
      assert.deepEqual([refused.status, refused.body.code], [403, 'CONTENT_RESTRICTED'], path);
      assert.equal((await parent.call('GET', path)).status, 200);
    }
  });

  it('keeps texts above its age from being written, generated, drawn or read to it', async () => {
    const rows: [string, unknown][] = [
      ['/api/stories', GRIM],
      ['/api/stories', { ...MILD, rating: 12 }],
      ['/api/generate/text', { prompt: 'a fox', rating: 12 }],
      ['/api/generate/text', { prompt: 'a murder with an axe' }],
      ['/api/generate/text', { prompt: 'a fox and a wolf' }],
      ['/api/generate/text', { prompt: 'a castle', characters: ['count'] }],
      ['/api/generate/text', { prompt: 'a castle', universe: 'carpathians' }],
      ['/api/generate/image', { text: GRIM.text }],
      ['/api/generate/audio', { text: GRIM.text }],
    ];
    for (const [path, body] of rows) {
      const refused = await child.call('POST', path, body);
      assert.deepEqual([refused.status, refused.body.code], [403, 'CONTENT_RESTRICTED'], JSON.stringify(body));
    }
    const told = await child.call('POST', '/api/generate/text', { prompt: 'a fox in the garden', words: 60 });
    assert.equal(told.status, 200);
    assert.ok(told.body.rating <= 8 && !told.body.topics.includes('wolves'));
    assert.equal((await parent.call('POST', '/api/generate/image', { text: GRIM.text })).status, 200);
  });

  it('does not let a child change its age, its rules or its quotas, or pretend', async () => {
    const rows: [string, string, unknown, number][] = [
      ['PATCH', `/api/auth/children/${childId}`, { rules: { contentRating: 18 } }, 403],
      ['PATCH', `/api/auth/children/${childId}`, { birthDate: '2000-01-01' }, 403],
      ['POST', '/api/auth/children', { username: 'kid2', password: CHILD_PASSWORD, birthDate }, 403],
      ['PATCH', '/api/auth/me', { birthDate: '2000-01-01' }, 400],
      ['PATCH', '/api/auth/me', { plan: 'premium' }, 400],
      ['PATCH', '/api/auth/me', { displayName: 'Grown Up' }, 403],
      ['DELETE', '/api/auth/me', { password: CHILD_PASSWORD }, 403],
      ['POST', '/api/auth/keys', { name: 'mine', scopes: ['stories:read'] }, 403],
      ['GET', '/api/auth/admin/users', undefined, 403],
    ];
    for (const [method, path, body, want] of rows)
      assert.equal((await child.call(method, path, body)).status, want, `${method} ${path} ${JSON.stringify(body)}`);
    const grownUp = {
      'x-account-rating': '18',
      'x-account-blocked-topics': '',
      'x-auth-roles': 'user',
      'x-account-parent': 'x',
    };
    assert.equal((await child.call('GET', '/api/universes/carpathians', undefined, grownUp)).status, 403);
    assert.equal((await child.call('GET', `/api/stories/${grim}`, undefined, grownUp)).status, 404);
    const widened = await new Visitor(story.url, '203.0.113.3').call('POST', '/api/auth/login', {
      username: 'kid',
      password: CHILD_PASSWORD,
      scope: 'stories:read identity:admin',
    });
    assert.ok(![...(widened.body.scope ?? '').split(' ')].includes('identity:admin'));
  });

  it('shows a parent its child’s stories and lets it delete them; nobody else’s child exists for it', async () => {
    const { body } = await child.call('POST', '/api/stories', { title: 'Mine', text: 'A mouse found a lantern.' });
    assert.equal((await parent.call('GET', `/api/stories/${body.id}`)).body.title, 'Mine');
    const stranger = new Visitor(story.url, '203.0.113.4');
    await stranger.register('eve');
    assert.equal((await stranger.call('GET', `/api/stories/${body.id}`)).status, 404);
    assert.equal((await stranger.call('GET', `/api/auth/children/${childId}`)).status, 404);
    assert.equal((await stranger.call('PATCH', `/api/auth/children/${childId}`, { enabled: false })).status, 404);
    assert.equal((await parent.call('DELETE', `/api/stories/${body.id}`)).status, 204);
    assert.equal((await child.call('GET', `/api/stories/${body.id}`)).status, 404);
  });

  it('takes narrower rules at once: the child’s session ends, and its next token has them', async () => {
    const narrowed = { rules: { contentRating: 0, scopes: ['stories:read', 'library:read'] } };
    assert.equal((await parent.call('PATCH', `/api/auth/children/${childId}`, narrowed)).status, 200);
    const deadline = performance.now() + 5_000;
    while ((await child.call('GET', '/api/stories')).status !== 401)
      assert.ok(performance.now() < deadline, 'not in time');
    await child.login('kid', CHILD_PASSWORD);
    assert.equal((await child.call('GET', '/api/stories')).status, 200);
    const refused = await child.call('POST', '/api/stories', MILD);
    assert.deepEqual([refused.status, refused.body.code], [403, 'INSUFFICIENT_PERMISSIONS']);
    assert.equal((await child.call('GET', '/api/universes/grimm-forest')).status, 403);
  });

  it('keeps a child out at the hours that its parent did not allow', async () => {
    const today = new Date().getUTCDay();
    const hours = [{ days: [(today + 3) % 7], from: '07:00', to: '20:00' }];
    await parent.call('PATCH', `/api/auth/children/${childId}`, { rules: { hours } });
    const late = await child.login('kid', CHILD_PASSWORD);
    assert.deepEqual([late.status, late.body.reason], [403, 'outside_allowed_hours']);
  });
});
