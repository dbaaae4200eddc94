/** The public description of the API: the document's table of endpoints, as OpenAPI 3.1. */

type Json = Readonly<Record<string, unknown>>;

const answer = (description: string): Json => ({ description });
const body = (example: unknown): Json => ({ required: true, content: { 'application/json': { example } } });
const idInPath = { name: 'id', in: 'path', required: true, schema: { type: 'string' } };

interface More {
  readonly body?: unknown;
  readonly answers?: Readonly<Record<string, string>>;
  readonly open?: boolean;
  readonly withId?: boolean;
}

function operation(
  tag: string,
  summary: string,
  ok: string,
  { body: example, answers = {}, open, withId }: More = {},
): Json {
  const [status = '200', text = ''] = ok.split(/ (.*)/);
  const refusals =
    open === true
      ? {}
      : { 401: 'no token, or a token that is not valid', 429: 'a limit or a daily quota is used up; see Retry-After' };
  const responses = {
    [status]: text,
    ...(example === undefined ? {} : { 400: 'a field is wrong; `errors` names it' }),
    ...refusals,
    ...answers,
  };
  return {
    tags: [tag],
    summary,
    ...(open === true ? { security: [] } : {}),
    ...(withId === true ? { parameters: [idInPath] } : {}),
    ...(example === undefined ? {} : { requestBody: body(example) }),
    responses: Object.fromEntries(Object.entries(responses).map(([code, meaning]) => [code, answer(meaning)])),
  };
}

const account = { email: 'ada@example.com', username: 'ada', password: 'ancient walrus paints 9 fences' };
const story = {
  title: 'The Fox and the Moon',
  text: 'A fox looked up.',
  universe: 'fables',
  characters: ['fox'],
  rating: 0,
};
const missing = { 404: 'there is none, or it is not yours' };
const restricted = { 403: 'not for the age or the settings of this account' };

export const openApi = {
  openapi: '3.1.0',
  info: {
    title: 'StoryVerse',
    version: '1.0.0',
    description:
      'Stories for families: accounts for parents and children, stories, their worlds and people, and texts, pictures and narrations made from a few words. Everything but this page and signing in needs a token.',
  },
  components: {
    securitySchemes: {
      token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
      key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
    },
  },
  security: [{ token: [] }, { key: [] }],
  paths: {
    '/api/auth/register': {
      post: operation('Authentication', 'Register new user', '201 the account, signed in', {
        body: account,
        open: true,
        answers: { 409: 'the address or the name is taken' },
      }),
    },
    '/api/auth/login': {
      post: operation('Authentication', 'User login', '200 an access token and a refresh token', {
        body: { username: 'ada', password: account.password },
        open: true,
        answers: { 401: 'name or password is wrong' },
      }),
    },
    '/api/auth/refresh': {
      post: operation('Authentication', 'Refresh access token', '200 new tokens; the old refresh token is spent', {
        body: { refreshToken: 'ghr_…' },
        open: true,
        answers: { 401: 'the token is not valid, or was used before' },
      }),
    },
    '/api/auth/logout': { post: operation('Authentication', 'User logout', '200 the session has ended') },
    '/api/auth/children': {
      get: operation('Families', 'The children of the account', '200 the children'),
      post: operation('Families', 'Make an account for a child', '201 the child', {
        body: {
          username: 'kid',
          password: 'purple crayons on the wall',
          birthDate: '2018-03-01',
          rules: { contentRating: 6, quotas: { stories: 3 } },
        },
      }),
    },
    '/api/stories': {
      get: operation('Stories', 'List user’s stories, newest first', '200 a page of stories'),
      post: operation('Stories', 'Create new story', '201 the story', { body: story, answers: restricted }),
    },
    '/api/stories/{id}': {
      get: operation('Stories', 'Get story details', '200 the story', { withId: true, answers: missing }),
      put: operation('Stories', 'Update story', '200 the story as it is now', {
        body: story,
        withId: true,
        answers: { ...missing, 412: 'it was changed in between (If-Match)' },
      }),
      delete: operation('Stories', 'Delete story', '204 gone', { withId: true, answers: missing }),
    },
    '/api/characters': {
      get: operation('Characters', 'List characters; `q` searches, `universe` narrows', '200 the characters'),
    },
    '/api/characters/{id}': {
      get: operation('Characters', 'Get character details', '200 the character', {
        withId: true,
        answers: { ...missing, ...restricted },
      }),
    },
    '/api/universes': { get: operation('Universes', 'List universes; `q` searches', '200 the universes') },
    '/api/universes/{id}': {
      get: operation('Universes', 'Get universe details', '200 the universe', {
        withId: true,
        answers: { ...missing, ...restricted },
      }),
    },
    '/api/generate/text': {
      post: operation('Generation', 'Generate story text', '200 a story', {
        body: { prompt: 'a fox in a snowy garden', characters: ['alice'], words: 120 },
        answers: restricted,
      }),
    },
    '/api/generate/image': {
      post: operation('Generation', 'Generate story image', '200 a picture, image/svg+xml', {
        body: { title: 'The Fox', text: 'A fox in the snow at night.' },
        answers: restricted,
      }),
    },
    '/api/generate/audio': {
      post: operation('Generation', 'Generate audio narration', '200 a narration, audio/wav', {
        body: { text: 'Once upon a time there was a fox.', voice: 'low' },
        answers: restricted,
      }),
    },
  },
} as const;
