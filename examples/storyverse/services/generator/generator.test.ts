/**
 * What the generator claims: that it learned, that it does not copy, that pictures and speech are made from the words.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { judge } from '../content.ts';
import { LanguageModel } from './language-model.ts';
import { narrate } from './narration.ts';
import { soundsOf } from './phonemes.ts';
import { paint } from './picture.ts';
import { sceneOf } from './scene.ts';
import { type StoryRequest, Storyteller, type ToldStory } from './storyteller.ts';
import { readTales, tokenize, write } from './tokens.ts';
import { SAMPLE_RATE, speak } from './voice.ts';

const TEXT = readFileSync(new URL('../../text/tales.txt', import.meta.url), 'utf8');
const storyteller = new Storyteller(TEXT);

const tell = (more: Partial<StoryRequest> = {}): ToldStory =>
  storyteller.tell({
    about: 'a fox in a garden in the snow',
    characters: [],
    words: 80,
    maxRating: 18,
    blockedTopics: [],
    seed: 7,
    ...more,
  });

describe('the language model', () => {
  it('predicts tales that it has not read far better than the frequency of words does', () => {
    const tales = readTales(TEXT);
    const train = tales.filter((_, i) => i % 10 !== 9).flatMap(({ tokens }) => tokens);
    const test = tales.filter((_, i) => i % 10 === 9).flatMap(({ tokens }) => tokens);
    const counts = new Map<string, number>();
    for (const token of train) counts.set(token, (counts.get(token) ?? 0) + 1);
    const chance = (token: string): number => ((counts.get(token) ?? 0) + 1) / (train.length + counts.size + 1);
    const byFrequency = 2 ** (test.reduce((bits, token) => bits - Math.log2(chance(token)), 0) / test.length);
    const model = new LanguageModel(tales.filter((_, i) => i % 10 !== 9).map(({ tokens }) => tokens));
    const perplexity = model.perplexity(test);
    assert.ok(perplexity < byFrequency * 0.4, `${perplexity} against ${byFrequency}`);
    // What the README says.
    assert.equal(Math.round(perplexity), 130);
  });

  it('gives the words after a history chances that sum to one', () => {
    const model = new LanguageModel([tokenize('the cat sat on the mat. the dog sat on the cat.')]);
    const history = ['sat', 'on', 'the'].map((word) => model.id(word)!);
    for (const past of [history, history.slice(1), [], [model.id('mat')!]]) {
      const known = model.words.reduce((sum, _, id) => sum + model.probability(past, id), 0);
      assert.ok(Math.abs(known + model.probability(past, undefined) - 1) < 1e-9, `${known} after ${past.join(' ')}`);
    }
  });
});

describe('a told story', () => {
  it('is the same for the same seed and another for another one', () => {
    assert.deepEqual(tell(), tell());
    assert.notEqual(tell().text, tell({ seed: 8 }).text);
  });

  it('has about as many words as were asked for, and whole sentences', () => {
    for (const words of [20, 120, 600]) {
      const story = tell({ words });
      assert.ok(story.words >= words * 0.8 && story.words <= words * 1.8 + 30, `${story.words} for ${words}`);
      assert.match(story.text, /[.!?]”?$/);
    }
  });

  it('has to do with what was asked for, and with whom', () => {
    const share = (about: string, word: RegExp): number =>
      [1, 2, 3, 4, 5].filter((seed) => word.test(tell({ about, seed }).text)).length;
    assert.ok(share('a giant and his garden', /garden/i) > share('a ship at sea', /garden/i));
    const named = [1, 2, 3, 4].filter((seed) => tell({ characters: ['Mirabel'], seed }).text.includes('Mirabel'));
    assert.ok(named.length >= 3, `${named.length} of 4 name the hero`);
  });

  it('does not copy: no run of 14 words stands so in the tales', () => {
    const plain = (text: string): string[] => text.toLowerCase().match(/[a-z'-]+/g) ?? [];
    const known = ` ${plain(TEXT).join(' ')} `;
    let runs = 0;
    let copies = 0;
    for (const seed of [1, 2, 3, 4]) {
      const words = plain(tell({ seed }).text);
      for (let i = 0; i + 14 <= words.length; i++, runs++)
        if (known.includes(` ${words.slice(i, i + 14).join(' ')} `)) copies++;
    }
    assert.ok(copies / runs < 0.15, `${copies} of ${runs}`);
  });

  it('never says what the age rating or the blocked topics forbid', () => {
    for (const seed of [1, 2, 3, 4]) {
      const story = tell({ about: 'a wolf, an axe and rum', maxRating: 6, blockedTopics: ['wolves'], seed });
      assert.ok(story.rating <= 6, story.text);
      assert.ok(!judge(story.text).topics.includes('wolves'), story.text);
    }
  });

  it('is written with quotation marks that close', () => {
    assert.equal(write(tokenize('"run, fox!" said the hare. so it ran.')), '“Run, fox!” said the hare. So it ran.');
    for (const seed of [1, 2, 3]) {
      const { text } = tell({ seed });
      for (const paragraph of text.split('\n\n'))
        assert.equal(paragraph.split('“').length, paragraph.split('”').length, paragraph);
    }
  });
});

describe('a picture', () => {
  const text = 'A fox and a hare met in the snowy forest at night. The moon shone.';

  it('shows what the words say', () => {
    const { svg, scene } = paint({ title: 'Night', text });
    assert.deepEqual([scene.place, scene.hour, scene.weather], ['forest', 'night', 'snow']);
    assert.deepEqual(scene.figures.map(({ kind }) => kind).sort(), ['fox', 'hare']);
    for (const kind of ['fox', 'hare']) assert.ok(svg.includes(`data-figure="${kind}"`));
    assert.equal(sceneOf('The captain sailed his ship over the sea.').place, 'sea');
  });

  it('is the same for the same text, and well-formed', () => {
    const { svg } = paint({ title: 'A', text });
    assert.equal(svg, paint({ title: 'A', text }).svg);
    const open: string[] = [];
    for (const [, close, name = '', rest = ''] of svg.matchAll(/<(\/?)([a-zA-Z]+)((?:[^"<>]|"[^"<]*")*)>/g)) {
      if (close === '/') assert.equal(open.pop(), name);
      else if (!rest.endsWith('/')) open.push(name);
    }
    assert.deepEqual(open, []);
    assert.ok(!/NaN|undefined/.test(svg));
  });

  it('takes a title as text, whatever is in it', () => {
    const { svg } = paint({ title: '</title><script>alert("1")</script>\u0000&', text });
    assert.ok(!svg.includes('<script') && !svg.includes('\u0000'));
    assert.ok(svg.includes('&#60;script&#62;'));
  });
});

describe('speech', () => {
  /** Loudness between two frequencies in the middle of the sound, in decibels. */
  function band(samples: Float32Array, low: number, high: number): number {
    const size = 1_024;
    const from = Math.round(samples.length * 0.36);
    let power = 1e-12;
    for (let k = Math.ceil((low * size) / SAMPLE_RATE); k < (high * size) / SAMPLE_RATE; k++) {
      let [re, im] = [0, 0];
      for (let i = 0; i < size; i++) {
        const value = (samples[from + i] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
        re += value * Math.cos((2 * Math.PI * k * i) / size);
        im += value * Math.sin((2 * Math.PI * k * i) / size);
      }
      power += re * re + im * im;
    }
    return 10 * Math.log10(power);
  }
  const said = (text: string): Float32Array => speak(text, { pitch: 110, formants: 1, speed: 0.3 }).samples;

  it('has the formants of its vowels and the hiss of its consonants', () => {
    const [see, ah, hiss] = [said('see see'), said('ah ah'), said('sss sss')];
    // ee: first formant below 500 Hz, second above 2000, little between. ah: both between.
    assert.ok(band(see, 0, 500) - band(see, 500, 1_000) > 10);
    assert.ok(band(see, 2_000, 2_700) - band(see, 1_000, 2_000) > 3);
    assert.ok(band(ah, 500, 1_500) > band(see, 500, 1_500));
    assert.ok(band(hiss, 4_000, 8_000) - band(hiss, 0, 2_000) > 15);
  });

  it('reads letters by rule and the commonest words by heart', () => {
    const rows = [
      ['moon', 'M UW N'],
      ['forest', 'F AO R S T'],
      ['cake', 'K EY K'],
      ['once', 'W AH N S'],
      ['wanted', 'W AA N T IH D'],
      ['houses', 'HH AW S IH Z'],
      ['princess', 'P R IH N S EH S'],
    ];
    for (const [word = '', want] of rows) assert.equal(soundsOf(word).join(' '), want, word);
  });

  it('is a WAV file as long as the text is, the same each time, and louder than silence', () => {
    const short = narrate('The fox ran.', 'low', true);
    const long = narrate('The fox ran. The hare ran after the fox, over the hill and into the wood.', 'low', true);
    assert.equal(short.wav.subarray(0, 4).toString(), 'RIFF');
    assert.equal(short.wav.readUInt32LE(4), short.wav.length - 8);
    assert.equal(short.wav.readUInt32LE(40), short.wav.length - 44);
    assert.ok(long.seconds > short.seconds * 2);
    assert.equal(long.syllables, 19);
    assert.deepEqual(short.wav, narrate('The fox ran.', 'low', true).wav);
    let energy = 0;
    for (let i = 44; i < short.wav.length; i += 2) energy += (short.wav.readInt16LE(i) / 32_768) ** 2;
    assert.ok(Math.sqrt(energy / ((short.wav.length - 44) / 2)) > 0.02);
    assert.notDeepEqual(short.wav, narrate('The fox ran.', 'low', false).wav);
    assert.notDeepEqual(short.wav, narrate('The fox ran.', 'child', true).wav);
  });
});
