/** The catalogue of the pages' texts: complete, with the same places in every language, chosen as RFC 9110 says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { pagesOptions } from './options.ts';
import { DARK, hardToRead, LIGHT } from './style.ts';
import { GERMAN } from './texts-de.ts';
import { ENGLISH, TEXT_KEYS } from './texts-en.ts';
import { catalogueOf, filled, languageFor, placesOf } from './words.ts';

describe('texts of the pages', () => {
  test('German has every text of English, in its own words, with the same places', () => {
    assert.deepEqual(Object.keys(GERMAN), TEXT_KEYS);
    for (const key of TEXT_KEYS) {
      assert.deepEqual(placesOf(GERMAN[key]), placesOf(ENGLISH[key]), key);
      assert.notEqual(GERMAN[key], ENGLISH[key], key);
    }
  });

  test('every text is used by a page', () => {
    const files = ['account-pages', 'layout', 'page-answers', 'problems', 'routes', 'sign-in-routes'];
    const sources = [
      ...files.map((name) => `./${name}.ts`),
      ...['pages', 'interactions', 'provider'].map((name) => `../oauth/${name}.ts`),
      '../password-hashing/policy.ts',
    ];
    const all = sources.map((file) => readFileSync(new URL(file, import.meta.url), 'utf8')).join('\n');
    // `problem('expired', ...)` of interactions.ts makes two keys of one word.
    const made = /^(notFound|expired)(Title|Text)$/;
    for (const key of TEXT_KEYS) assert.ok(all.includes(`'${key}'`) || all.includes(`${key}:`) || made.test(key), key);
  });

  test('a value takes its place once, whatever it holds', () => {
    assert.equal(filled('a {b} c {b} {d}', { b: '{d}' }), 'a {d} c {d} {d}');
    assert.equal(filled('{constructor}', {}), '{constructor}');
    assert.equal(filled('{a}', { a: '$&' }), '$&');
  });

  test('texts of the configuration take the place of the shipped ones', () => {
    const { texts, languages } = pagesOptions.parse({ texts: { de: { signIn: 'Los' } } });
    const catalogue = catalogueOf({ texts, languages });
    assert.equal(catalogue.get('de')?.signIn, 'Los');
    assert.equal(catalogue.get('de')?.cancel, 'Abbrechen');
    assert.equal(catalogue.get('en')?.signIn, 'Sign in');
  });

  test('a language of one’s own needs all texts', () => {
    const half = pagesOptions.parse({ languages: ['fr'], texts: { fr: { signIn: 'Se connecter' } } });
    assert.throws(() => catalogueOf(half), /texts\.fr lacks \d+ texts: signInTitle, signInFor/);
    const whole = pagesOptions.parse({ languages: ['fr'], texts: { fr: ENGLISH } });
    assert.equal(catalogueOf(whole).get('fr')?.signIn, 'Sign in');
  });

  const cases: [string, (string | null)[], string | null, string][] = [
    ['nothing is said', [], null, 'en'],
    ['the header prefers German', [], 'de', 'de'],
    ['a region of it', [], 'de-AT, en;q=0.5', 'de'],
    ['by weight, not by order', [], 'en;q=0.3, de;q=0.9', 'de'],
    ['an unknown one comes first', [], 'fr, de;q=0.2', 'de'],
    ['one is refused', [], 'de;q=0, en', 'en'],
    ['only unknown ones', [], 'fr, it', 'en'],
    ['a region that is known', [], 'pt-BR', 'pt-BR'],
    ['what somebody chose goes before the header', ['de'], 'en', 'de'],
    ['a choice that is not known', ['xx'], 'de', 'de'],
    ['nonsense', ['"><script>', null], ';;;q=,,q=x', 'en'],
  ];
  for (const [name, wishes, header, want] of cases)
    test(`language: ${name}`, () => assert.equal(languageFor(['en', 'de', 'pt-BR'], wishes, header), want));
});

describe('colours of the pages', () => {
  test('are those of the console', () => {
    const css = readFileSync(new URL('../../../../console/style.css', import.meta.url), 'utf8');
    const palettes = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, body = '']) =>
      Object.fromEntries([...body.matchAll(/--(\w+): (#\w+);/g)].map(([, name, value]) => [name, value])),
    );
    const long = (colour = ''): string => (colour.length === 4 ? colour.replace(/\w/g, '$&$&') : colour);
    for (const [index, own] of [LIGHT, DARK].entries())
      for (const [name, value] of Object.entries(own)) assert.equal(long(palettes[index]?.[name]), value, name);
  });

  test('are easy to read; a pair that is not is named with its contrast', () => {
    assert.deepEqual(hardToRead(pagesOptions.parse({})), []);
    const pale = pagesOptions.parse({ colours: { light: { accent: '#ffcc00' } } });
    assert.deepEqual(hardToRead(pale), [
      { scheme: 'light', text: 'accent', behind: 'card', contrast: 1.51 },
      { scheme: 'light', text: 'accent', behind: 'paper', contrast: 1.41 },
    ]);
  });
});
