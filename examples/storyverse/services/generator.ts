/**
 * Text, pictures and speech, made here and now: nothing is looked up in a list of ready answers. The language model is
 * trained when the service starts. Work is short (a tenth of a second or so) and done in order; how much of it may wait
 * is the gateway's to say (`concurrency` in gatehouse.yaml).
 */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Hono } from 'hono';
import * as z from 'zod';
import { isWordFit, judge, TOPIC_NAMES, wordsOf } from './content.ts';
import { narrate, VOICES } from './generator/narration.ts';
import { paint } from './generator/picture.ts';
import { describe } from './generator/scene.ts';
import { Storyteller } from './generator/storyteller.ts';
import { type Caller, callerOf, createApp, maySee, Refusal, readBody, start } from './http.ts';
import { CHARACTERS, UNIVERSES } from './library-data.ts';

const TALES = new URL('../text/tales.txt', import.meta.url);
const NO_LIMIT = 18;

const textBody = z.strictObject({
  prompt: z.string('a text').trim().min(1, 'what it should be about').max(500, 'at most 500 characters'),
  characters: z.array(z.string('the id of a character'), 'a list of ids').max(5, 'at most 5 characters').default([]),
  universe: z.string('the id of a universe').nullable().default(null),
  words: z.int('a whole number').min(20, '20 to 600').max(600, '20 to 600').default(150),
  rating: z.int('a whole number').min(0, 'an age from 0 to 18').max(NO_LIMIT, 'an age from 0 to 18').optional(),
  blockedTopics: z.array(z.enum(TOPIC_NAMES, `one of ${TOPIC_NAMES.join(', ')}`)).default([]),
  seed: z.int('a whole number').min(0, '0 or more').max(0xffff_ffff, 'at most 4294967295').optional(),
});

const imageBody = z.strictObject({
  text: z.string('a text').trim().min(1, 'a text').max(50_000, 'at most 50000 characters'),
  title: z.string('a text').trim().max(120, 'at most 120 characters').default('A story'),
});

const audioBody = z.strictObject({
  text: z.string('a text').trim().min(1, 'a text').max(1_500, 'at most 1500 characters'),
  voice: z.enum(Object.keys(VOICES) as (keyof typeof VOICES)[], 'low, high or child').default('low'),
  melody: z.boolean('true or false').default(true),
});

export function createGenerator(storyteller: Storyteller): Hono {
  const app = createApp('generator');
  const { model, tales } = storyteller;
  const facts = {
    kind: 'interpolated Kneser-Ney, 4-grams',
    tales: tales.length,
    tokens: model.trainedOn,
    vocabulary: model.words.length,
  };

  app.get('/health', (context) => context.json({ status: 'ok', model: facts }));

  app.post('/generate/text', async (context) => {
    const caller = callerOf(context);
    const body = await readBody(context, textBody);
    const allowed = caller.maxRating ?? NO_LIMIT;
    const maxRating = body.rating ?? allowed;
    if (maxRating > allowed) throw restricted(`the account may have texts for ages up to ${allowed}`);
    const blockedTopics = [...new Set([...body.blockedTopics, ...caller.blockedTopics])];
    const unfit = wordsOf(body.prompt).filter((word) => !isWordFit(word, maxRating, blockedTopics));
    if (unfit.length > 0)
      throw restricted(`not for this account, or not as it was asked for: ${[...new Set(unfit)].join(', ')}`);
    const known = body.characters.map((id) => namedIn(CHARACTERS, id, 'characters', caller));
    const place = body.universe === null ? undefined : namedIn(UNIVERSES, body.universe, 'universe', caller);
    const seed = body.seed ?? randomInt(2 ** 32);
    const characters = known.map(({ name }) => name);
    const about = [body.prompt, place?.name ?? '', ...known.map(({ kind }) => kind)].join(' ');
    const story = storyteller.tell({ about, characters, words: body.words, maxRating, blockedTopics, seed });
    return context.json({ ...story, universe: body.universe, characters: body.characters, seed, model: facts });
  });

  app.post('/generate/image', async (context) => {
    const { text, title } = await readBody(context, imageBody);
    mustBeFit(callerOf(context), `${title} ${text}`);
    const { svg, scene } = paint({ text, title });
    return context.body(svg, 200, {
      'Content-Type': 'image/svg+xml',
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
      'X-Scene': describe(scene),
    });
  });

  app.post('/generate/audio', async (context) => {
    const { text, voice, melody } = await readBody(context, audioBody);
    mustBeFit(callerOf(context), text);
    const { wav, seconds, syllables } = narrate(text, voice, melody);
    return context.body(new Uint8Array(wav), 200, {
      'Content-Type': 'audio/wav',
      'X-Audio-Seconds': seconds.toFixed(1),
      'X-Audio-Syllables': String(syllables),
    });
  });

  return app;
}

const restricted = (message: string): Refusal => new Refusal(403, 'CONTENT_RESTRICTED', message);

function mustBeFit(caller: Caller, text: string): void {
  const judged = judge(text);
  if (!maySee(caller, judged)) throw restricted(`this text is rated ${judged.rating} (${judged.topics.join(', ')})`);
}

function namedIn<Entry extends { id: string; rating: number; topics: readonly string[] }>(
  list: readonly Entry[],
  id: string,
  field: string,
  caller: Caller,
): Entry {
  const found = list.find((entry) => entry.id === id);
  if (found === undefined) {
    const errors = [
      { field, value: JSON.stringify(id), expected: `an id, see /api/${field === 'universe' ? 'universes' : field}` },
    ];
    throw new Refusal(400, 'VALIDATION_ERROR', 'the request is not valid', errors);
  }
  if (!maySee(caller, found)) throw restricted(`${id} is for ages from ${found.rating}`);
  return found;
}

if (import.meta.main) start(createGenerator(new Storyteller(readFileSync(TALES, 'utf8'))));
