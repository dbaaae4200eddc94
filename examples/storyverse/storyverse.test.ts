/**
 * Every call of the StoryVerse document's table, and its request flow, against the running example; and what goes wrong
 * around tokens and ownership. Families are in family.test.ts, limits and quotas in limits.test.ts.
 */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createLogger } from '../../src/base/log.ts';
import { openContext } from '../../src/control/identity/identity.ts';
import { suiteScope } from '../../test/support/scope.ts';
import { PASSWORD, type StoryVerse, startStoryVerse, Visitor } from './testing.ts';

/** The table of the document: method, path, and a body that is right. */
const TABLE: readonly (readonly [string, string, unknown?])[] = [
  ['POST', '/api/auth/register', { email: 'table@example.com', username: 'table', password: PASSWORD }],
  ['POST', '/api/auth/login', { username: 'ada', password: PASSWORD }],
  ['POST', '/api/auth/refresh', { refreshToken: 'of the caller' }],
  ['POST', '/api/auth/logout'],
  ['GET', '/api/stories'],
  ['POST', '/api/stories', { title: 'The Hare', text: 'A hare ran over the hill.' }],
  ['GET', '/api/stories/{id}'],
  ['PUT', '/api/stories/{id}', { title: 'The Hare', text: 'A hare ran over the hill and back.' }],
  ['DELETE', '/api/stories/{id}'],
  ['GET', '/api/characters'],
  ['GET', '/api/characters/{id}'],
  ['GET', '/api/universes'],
  ['GET', '/api/universes/{id}'],
  ['POST', '/api/generate/text', { prompt: 'a fox in a snowy garden', seed: 1 }],
  ['POST', '/api/generate/image', { text: 'A fox in the snow at night.', title: 'The Fox' }],
  ['POST', '/api/generate/audio', { text: 'Once upon a time there was a fox.' }],
];
const OPEN = ['/api/auth/register', '/api/auth/login', '/api/auth/refresh', '/api/auth/logout'];
const STORY = {
  title: 'The Fox and the Moon',
  text: 'A fox looked up at the moon.',
  universe: 'fables',
  characters: ['fox'],
};

describe('StoryVerse', () => {
  const scope = suiteScope();
  let story: StoryVerse;
  let addresses = 0;
  const visitor = (): Visitor => new Visitor(story.url, `203.0.113.${++addresses}`);
  const member = async (name: string): Promise<Visitor> => {
    const made = visitor();
    assert.equal((await made.register(name)).status, 201);
    return made;
  };
  let ada: Visitor;

  before(async () => {
    story = await startStoryVerse(scope);
    ada = await member('ada');
  });

  it('keeps the public documentation open, and it names every endpoint of the table', async () => {
    const anybody = visitor();
    const page = await anybody.call('GET', '/docs');
    assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/html; charset=UTF-8']);
    const { body } = await anybody.call('GET', '/openapi.json');
    assert.equal(body.openapi, '3.1.0');
    for (const [method, path] of TABLE) {
      assert.ok(body.paths[path]?.[method.toLowerCase()], `${method} ${path} is described`);
      assert.ok(page.text.includes(`${method} ${path}`), `${method} ${path} is on the page`);
    }
  });

  it('asks everybody else for a token, before anything else is looked at', async () => {
    const anybody = visitor();
    for (const [method, path, body] of TABLE) {
      if (OPEN.includes(path)) continue;
      const answer = await anybody.call(method, path.replace('{id}', 'x'), body);
      assert.equal(answer.status, 401, `${method} ${path}`);
      assert.equal(answer.body.code, 'AUTHENTICATION_REQUIRED');
      assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer /);
      assert.ok(answer.body.request_id && answer.body.timestamp);
    }
  });

  it('registers, signs in, refreshes with rotation, and signs out at once', async () => {
    const bo = await member('bo');
    const taken = await visitor().call('POST', '/api/auth/register', {
      email: 'bo@example.com',
      username: 'bo2',
      password: PASSWORD,
    });
    assert.equal(taken.status, 409);
    const weak = await visitor().call('POST', '/api/auth/register', { email: 'x', password: 'short' });
    assert.deepEqual([weak.status, weak.body.code], [400, 'VALIDATION_ERROR']);

    const signedIn = await bo.login('bo');
    assert.equal(signedIn.status, 200);
    const claims = JSON.parse(Buffer.from(bo.accessToken.split('.')[1]!, 'base64url').toString());
    assert.deepEqual([claims.plan, claims.roles, claims.exp - claims.iat], ['basic', ['user'], 300]);
    const [oldAccess, oldRefresh] = [bo.accessToken, bo.refreshToken];
    assert.equal((await bo.refresh()).status, 200);
    assert.notEqual(bo.refreshToken, oldRefresh);
    assert.notEqual(bo.accessToken, oldAccess);
    assert.equal((await bo.call('GET', '/api/stories')).status, 200);

    assert.equal((await bo.call('POST', '/api/auth/logout')).status, 200);
    const deadline = performance.now() + 5_000;
    while ((await bo.call('GET', '/api/stories')).status !== 401)
      assert.ok(performance.now() < deadline, 'still signed in');
    assert.equal((await bo.refresh()).status, 401);
    assert.equal((await bo.login('bo', 'not the password')).status, 401);
  });

  it('makes, lists, reads, changes and deletes stories', async () => {
    const made = await ada.call('POST', '/api/stories', STORY);
    assert.equal(made.status, 201);
    const { id } = made.body;
    assert.equal(made.headers.get('location'), `/api/stories/${id}`);
    assert.equal(made.body.owner, ada.id);
    const { body: list } = await ada.call('GET', '/api/stories');
    assert.deepEqual(list.stories[0], made.body);

    const read = await ada.call('GET', `/api/stories/${id}`);
    assert.deepEqual(read.body, made.body);
    const etag = read.headers.get('etag') ?? '';
    const same = await ada.call('GET', `/api/stories/${id}`, undefined, { 'if-none-match': etag });
    assert.deepEqual([same.status, same.text], [304, '']);

    const changed = await ada.call('PUT', `/api/stories/${id}`, { ...STORY, title: 'The Fox and the Sun' });
    assert.deepEqual([changed.status, changed.body.title, changed.body.version], [200, 'The Fox and the Sun', 2]);
    const late = await ada.call('PUT', `/api/stories/${id}`, STORY, { 'if-match': etag });
    assert.deepEqual([late.status, late.body.code], [412, 'PRECONDITION_FAILED']);

    assert.equal((await ada.call('DELETE', `/api/stories/${id}`)).status, 204);
    assert.equal((await ada.call('GET', `/api/stories/${id}`)).status, 404);
    assert.equal((await ada.call('DELETE', `/api/stories/${id}`)).status, 404);
  });

  it('answers in the version of the API that was asked for', async () => {
    const { body: v1 } = await ada.call('GET', '/api/stories?limit=1');
    assert.ok('stories' in v1);
    const v2 = await ada.call('GET', '/api/stories?limit=1', undefined, { 'x-api-version': '2' });
    assert.ok('items' in v2.body);
    for (const item of v2.body.items) assert.ok(!('text' in item) && item.words > 0);
    assert.match(v2.headers.get('vary') ?? '', /x-api-version/i);
  });

  it('says which field is wrong, with its value and what was expected', async () => {
    const bad = { title: '', text: 'x', universe: 'nowhere', rating: 99, colour: 'red' };
    const { status, body } = await ada.call('POST', '/api/stories', bad);
    assert.deepEqual([status, body.code], [400, 'VALIDATION_ERROR']);
    const fields = Object.fromEntries(
      body.errors.map((each: { field: string; value?: string }) => [each.field, each.value]),
    );
    assert.deepEqual([fields.title, fields.universe, fields.rating], ['""', '"nowhere"', '99']);
    const rows: [unknown, Record<string, string>, number][] = [
      ['{"title":', {}, 400],
      ['title=x', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
      [{ ...STORY, text: 'x'.repeat(300_000) }, {}, 413],
    ];
    for (const [input, headers, want] of rows)
      assert.equal((await ada.call('POST', '/api/stories', input, headers)).status, want);
    assert.equal((await ada.call('GET', '/api/stories?limit=1000')).status, 400);
    assert.equal((await ada.call('PATCH', '/api/stories')).status, 405);
    assert.equal((await ada.call('GET', '/api/nothing')).status, 404);
  });

  it('lists and shows characters and universes, and finds them by words', async () => {
    const { body } = await ada.call('GET', '/api/characters');
    assert.ok(body.characters.length > 20);
    const { body: found } = await ada.call('GET', '/api/characters?q=tea&universe=wonderland');
    assert.deepEqual(
      found.characters.map(({ id }: { id: string }) => id),
      ['hatter'],
    );
    assert.equal((await ada.call('GET', '/api/characters?q=%22%29%20OR%20*')).status, 200);
    assert.equal((await ada.call('GET', '/api/characters/alice')).body.universe, 'wonderland');
    assert.equal((await ada.call('GET', '/api/characters/nobody')).status, 404);
    const { body: universes } = await ada.call('GET', '/api/universes');
    assert.ok(universes.universes.some(({ id }: { id: string }) => id === 'jungle'));
    const { body: wonderland } = await ada.call('GET', '/api/universes/wonderland');
    assert.ok(wonderland.characters.includes('cheshire-cat'));
  });

  it('a story with its universe and its characters is one response, also while a part is missing', async () => {
    const { body: story } = await ada.call('POST', '/api/stories', {
      ...STORY,
      universe: 'wonderland',
      characters: ['alice'],
    });
    const page = await ada.call('GET', `/api/stories/${story.id}/page`);
    assert.equal(page.status, 200, page.text);
    assert.equal(page.body.story.id, story.id);
    assert.equal(page.body.universe.id, 'wonderland');
    assert.deepEqual(
      page.body.characters.map(({ id }: { id: string }) => id),
      ['alice'],
    );
    const stranger = await member('stranger');
    assert.equal((await stranger.call('GET', `/api/stories/${story.id}/page`)).status, 404);
    assert.equal((await visitor().call('GET', `/api/stories/${story.id}/page`)).status, 401);
    assert.equal((await ada.call('GET', '/api/stories/none/page')).status, 404);
  });

  it('stores what is asked often: the documentation for all, universes for each account', async () => {
    const cached = async (who: Visitor, path: string): Promise<string> =>
      (await who.call('GET', path)).headers.get('cache-status') ?? '';
    await cached(visitor(), '/docs');
    assert.match(await cached(visitor(), '/docs'), /; hit/);
    await cached(ada, '/api/universes');
    assert.match(await cached(ada, '/api/universes'), /; hit/);
    const cy = await member('cy');
    assert.doesNotMatch(await cached(cy, '/api/universes'), /; hit/);
  });

  it('generates text, a picture and a narration from the words that it is given', async () => {
    const ask = {
      prompt: 'a giant and his garden',
      characters: ['alice'],
      universe: 'wonderland',
      words: 80,
      seed: 11,
    };
    const text = await ada.call('POST', '/api/generate/text', ask);
    assert.equal(text.status, 200);
    assert.ok(text.body.text.includes('Alice'), text.body.text);
    assert.ok(text.body.words > 50);
    assert.equal(text.body.model, undefined, 'what the model is made of is for administrators');
    assert.equal(text.body.requestId, text.headers.get('x-request-id'));

    const picture = await ada.call('POST', '/api/generate/image', { text: text.body.text, title: text.body.title });
    assert.equal(picture.headers.get('content-type'), 'image/svg+xml');
    assert.match(picture.text, /^<svg [^>]*viewBox="0 0 800 600"[\s\S]*<\/svg>\n$/);
    const night = await ada.call('POST', '/api/generate/image', { text: 'A wolf at sea in a storm.' });
    assert.equal(night.headers.get('x-scene'), 'a wolf at sea, day, storm');

    const audio = await ada.call('POST', '/api/generate/audio', {
      text: 'The moon rose over the old town.',
      voice: 'child',
    });
    assert.equal(audio.headers.get('content-type'), 'audio/wav');
    assert.equal(audio.bytes.subarray(8, 12).toString(), 'WAVE');
    assert.equal(Number(audio.headers.get('content-length')), audio.bytes.length);
    assert.ok(audio.bytes.length > 44 + 16_000 * 2);
    for (const [path, body] of [
      ['text', { prompt: '' }],
      ['text', { prompt: 'x', characters: ['nobody'] }],
      ['image', { text: 7 }],
      ['audio', { text: 'x'.repeat(2_000) }],
    ] as const)
      assert.equal((await ada.call('POST', `/api/generate/${path}`, body)).status, 400, path);
  });

  it('follows the request flow of the document, and each step can be seen', async () => {
    const cyd = await member('cyd');
    const answer = await cyd.call('POST', '/api/stories', STORY, { 'x-request-id': 'bedtime-0001' });
    // 1 and 7: asked through the gateway, answered through it, under the caller's own request id.
    assert.deepEqual([answer.status, answer.headers.get('x-request-id')], [201, 'bedtime-0001']);
    // 3: the limits were looked at; the answer says how much is left.
    assert.match(answer.headers.get('ratelimit-policy') ?? '', /q=60;w=60.*q=1000;w=3600/);
    assert.match(answer.headers.get('ratelimit') ?? '', /"stories[^"]*";r=4/);
    // 4 and 5: one of the two instances answered, and kept the story under the subject of the token (2).
    assert.equal(answer.headers.get('served-by'), 'stories');
    assert.equal(answer.body.owner, cyd.id);
    // 6: fields that are the service's own business are gone, careful ones are there.
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    const deadline = performance.now() + 5_000;
    for (;;) {
      const line = (await story.accessLog()).find(({ request_id }) => request_id === 'bedtime-0001');
      if (line === undefined) {
        assert.ok(performance.now() < deadline, 'the access log has no line of it');
        continue;
      }
      const { route, service, status, subject } = line;
      assert.deepEqual(
        { route, service, status, subject },
        { route: 'story-new', service: 'stories', status: 201, subject: cyd.id },
      );
      break;
    }
  });

  it('gives every bad token the same 401', async () => {
    const settings = { enabled: true, publicUrl: 'http://127.0.0.1:0', tokens: { audience: 'storyverse' } } as const;
    const { context, release } = await openContext(settings, { dataDir: story.folder, log: createLogger('silent') });
    scope.after(release);
    await context.signingKeys.refresh();
    const claims = {
      subject: ada.id,
      scopes: ['stories:read'],
      roles: ['user'],
      plan: 'basic',
      mfaVerified: false,
      amr: [],
      authAt: Date.now(),
    };
    const mint = async (ttlMs: number): Promise<string> => (await context.tokens.mint({ ...claims, ttlMs })).token;
    const fresh = await mint(60_000);
    const [head = '', payload = '', signature = ''] = fresh.split('.');
    const other = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), plan: 'premium' }),
    );
    const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url');
    const bad: Record<string, string> = {
      expired: await mint(-60_000),
      'signed for other claims': `${head}.${other.toString('base64url')}.${signature}`,
      unsigned: `${none}.${payload}.`,
      'cut off': fresh.slice(0, -10),
      'a refresh token': ada.refreshToken,
      nonsense: 'x',
    };
    const guest = visitor();
    guest.accessToken = fresh;
    assert.equal((await guest.call('GET', '/api/stories')).status, 200);
    for (const [name, token] of Object.entries(bad)) {
      guest.accessToken = token;
      const { status, body } = await guest.call('GET', '/api/stories');
      assert.deepEqual([status, body.code, body.reason], [401, 'AUTHENTICATION_REQUIRED', 'invalid_credentials'], name);
    }
  });

  it('takes a refresh token once; twice at the same time is a slip', async () => {
    const dee = await member('dee');
    const spent = dee.refreshToken;
    assert.equal((await dee.refresh()).status, 200);
    const again = await visitor().call('POST', '/api/auth/refresh', { refreshToken: spent });
    assert.deepEqual([again.status, again.body.reason], [409, 'refresh_in_progress']);
    assert.equal((await dee.refresh()).status, 200, 'the session goes on');
  });

  it('says of another’s story what it says of one that does not exist', async () => {
    const eve = await member('eve');
    const { body } = await ada.call('POST', '/api/stories', STORY);
    const without = (answer: { body: Record<string, unknown> }): unknown => {
      const { timestamp: _t, request_id: _r, ...rest } = answer.body;
      return rest;
    };
    for (const [method, input] of [['GET'], ['PUT', STORY], ['DELETE']] as const) {
      const foreign = await eve.call(method, `/api/stories/${body.id}`, input);
      const missing = await eve.call(method, '/api/stories/00000000-0000-4000-8000-000000000000', input);
      assert.equal(foreign.status, 404, method);
      assert.deepEqual(without(foreign), without(missing));
    }
    assert.deepEqual((await eve.call('GET', '/api/stories')).body.stories, []);
    const spoofed = await eve.call('GET', `/api/stories/${body.id}`, undefined, {
      'x-auth-subject': ada.id,
      'x-account-parent': ada.id,
    });
    assert.equal(spoofed.status, 404, 'fields that only the gateway writes are not believed');
    assert.equal((await ada.call('GET', `/api/stories/${body.id}`)).status, 200);
  });

  it('is an OpenID provider, publishes its keys, and shows the metrics of the document', async () => {
    const anybody = visitor();
    assert.equal((await anybody.call('GET', '/.well-known/jwks.json')).body.keys.length, 1);
    const discovery = await anybody.call('GET', '/oauth/.well-known/openid-configuration');
    assert.equal(discovery.status, 200);
    assert.equal((await anybody.call('GET', '/metrics/prometheus')).status, 403, 'not for strangers');
    const text = await (await fetch(`${story.url}/metrics/prometheus`)).text();
    for (const wanted of [
      /^gatehouse_requests_total\{route="story-new",status="201"\} [1-9]/m,
      /^gatehouse_request_duration_seconds_bucket\{route="stories",le="0\.005"\} /m,
      /^gatehouse_identity_events_total\{action="session\.created"\} [1-9]/m,
      /^gatehouse_identity_events_total\{action="login\.failed"\} [1-9]/m,
      /^gatehouse_identity_tokens_total [1-9]/m,
    ])
      assert.match(text, wanted);
  });

  it('goes on when one of two instances of the stories is gone', async () => {
    await story.loseStories();
    for (let i = 0; i < 6; i++) assert.equal((await ada.call('GET', '/api/stories')).status, 200);
  });
});
