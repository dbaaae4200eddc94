/** The stories of families: make, read, change, delete. Who may see what is in stories-store.ts. */
import { fileURLToPath } from 'node:url';
import type { Hono } from 'hono';
import * as z from 'zod';
import { judge, TOPIC_NAMES } from './content.ts';
import { type Caller, callerOf, createApp, maySee, notFound, Refusal, readBody, readQuery, start } from './http.ts';
import { CHARACTERS, UNIVERSES } from './library-data.ts';
import { type Story, type StoryContent, StoryStore } from './stories-store.ts';

const MAX_TEXT = 50_000;
const universeIds: readonly string[] = UNIVERSES.map(({ id }) => id);
const characterIds: readonly string[] = CHARACTERS.map(({ id }) => id);

const storyBody = z.strictObject({
  title: z.string('a text').trim().min(1, 'a title').max(120, 'at most 120 characters'),
  text: z.string('a text').trim().min(1, 'a text').max(MAX_TEXT, `at most ${MAX_TEXT} characters`),
  universe: z
    .string('a text')
    .refine((id) => universeIds.includes(id), 'the id of a universe, see /api/universes')
    .nullable()
    .default(null),
  characters: z
    .array(z.string('a text').refine((id) => characterIds.includes(id), 'the id of a character, see /api/characters'))
    .max(10, 'at most 10 characters')
    .default([]),
  rating: z.int('a whole number').min(0, 'an age from 0 to 18').max(18, 'an age from 0 to 18').default(0),
  topics: z.array(z.enum(TOPIC_NAMES, `one of ${TOPIC_NAMES.join(', ')}`)).default([]),
});

const page = z.strictObject({
  limit: z.coerce.number().int('a whole number').min(1, '1 to 100').max(100, '1 to 100').default(20),
  after: z.uuid('the id of a story').optional(),
});

export function createStories(store: StoryStore): Hono {
  const app = createApp('stories');

  app.get('/health', (context) => context.json({ status: 'ok', stories: store.count }));

  app.get('/stories', (context) => {
    const { limit, after } = readQuery(context, page);
    const stories = store.list(callerOf(context), limit, after);
    return context.json({ stories, next: stories.length === limit ? stories.at(-1)?.id : null });
  });

  /** Version 2 of the list: without the texts, which are what is large. */
  app.get('/v2/stories', (context) => {
    const { limit, after } = readQuery(context, page);
    const stories = store.list(callerOf(context), limit, after);
    const items = stories.map(({ text, ...story }) => ({ ...story, words: text.split(/\s+/).length }));
    return context.json({ items, next: stories.length === limit ? stories.at(-1)?.id : null });
  });

  app.post('/stories', async (context) => {
    const caller = callerOf(context);
    const story = store.create(caller, contentFor(caller, await readBody(context, storyBody)));
    return context.json(story, 201, { Location: `/api/stories/${story.id}`, ETag: etagOf(story) });
  });

  app.get('/stories/:id', (context) => {
    const story = store.find(callerOf(context), context.req.param('id'));
    if (story === undefined) throw notFound('story');
    const etag = etagOf(story);
    if (context.req.header('if-none-match') === etag) return context.body(null, 304, { ETag: etag });
    return context.json(story, 200, { ETag: etag, 'Cache-Control': 'private, no-cache' });
  });

  app.put('/stories/:id', async (context) => {
    const caller = callerOf(context);
    const content = contentFor(caller, await readBody(context, storyBody));
    const before = store.find(caller, context.req.param('id'));
    // What can be read but is another's may not be changed, and says no more than that.
    if (before === undefined || before.owner !== caller.id) throw notFound('story');
    const wanted = context.req.header('if-match');
    if (wanted !== undefined && wanted !== '*' && wanted !== etagOf(before)) throw outdated();
    const after = store.update(caller, before.id, content, before.version);
    if (after === undefined) throw outdated();
    return context.json(after, 200, { ETag: etagOf(after) });
  });

  app.delete('/stories/:id', (context) => {
    if (!store.delete(callerOf(context), context.req.param('id'))) throw notFound('story');
    return context.body(null, 204);
  });

  return app;
}

const outdated = (): Refusal =>
  new Refusal(412, 'PRECONDITION_FAILED', 'the story was changed in between; read it again');

/** What the author declares can raise the rating that the words give, never lower it. */
function contentFor(caller: Caller, body: z.output<typeof storyBody>): StoryContent {
  const judged = judge(`${body.title} ${body.text}`);
  const rated = {
    rating: Math.max(body.rating, judged.rating),
    topics: [...new Set([...body.topics, ...judged.topics])].sort(),
  };
  if (!maySee(caller, rated)) {
    throw new Refusal(
      403,
      'CONTENT_RESTRICTED',
      `this text is rated ${rated.rating} (${rated.topics.join(', ') || 'as declared'}), more than the account may have`,
    );
  }
  return { title: body.title, text: body.text, universe: body.universe, characters: body.characters, ...rated };
}

function etagOf({ id, version }: Story): string {
  return `"${id.slice(0, 8)}-${version}"`;
}

if (import.meta.main) {
  const folder = process.env['STORYVERSE_DATA'] ?? fileURLToPath(new URL('../data', import.meta.url));
  const store = new StoryStore(`${folder}/stories.db`);
  start(createStories(store), () => store.close());
}
