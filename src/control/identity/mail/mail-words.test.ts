/** The texts of the emails: complete in every language that is shipped, each used, one language an email. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { identityOptions } from '../options.ts';
import { placesOf } from '../pages/words.ts';
import { GERMAN_MAIL } from './mail-texts-de.ts';
import { ENGLISH_MAIL, MAIL_KEYS } from './mail-texts-en.ts';
import { mailWords, missingMailTexts } from './mail-words.ts';

describe('texts of emails', () => {
  test('German has every text of English, in its own words, with the same places', () => {
    assert.deepEqual(Object.keys(GERMAN_MAIL), MAIL_KEYS);
    for (const key of MAIL_KEYS) {
      assert.deepEqual(placesOf(GERMAN_MAIL[key]), placesOf(ENGLISH_MAIL[key]), key);
      assert.notEqual(GERMAN_MAIL[key], ENGLISH_MAIL[key], key);
    }
  });

  test('every text is in an email', () => {
    const source = readFileSync(new URL('./mails.ts', import.meta.url), 'utf8');
    for (const key of MAIL_KEYS) assert.ok(source.includes(`'${key}'`) || source.includes(`${key}:`), key);
  });

  test('an account gets its language, in the spelling of the configuration, or the default', () => {
    const words = mailWords(identityOptions.parse({ pages: { languages: ['de', 'en'] } }));
    const chosen = [null, 'en', 'EN-gb', 'fr', '', '__proto__'].map((language) => words.in(language).language);
    assert.deepEqual(chosen, ['de', 'en', 'en', 'de', 'de', 'de']);
  });

  test('texts of the configuration take the place of the shipped ones', () => {
    const options = identityOptions.parse({ mail: { texts: { de: { resetSubject: 'Passwort weg?' } } } });
    assert.equal(mailWords(options).in('de').texts.resetSubject, 'Passwort weg?');
    assert.equal(mailWords(options).in('de').texts.resetButton, GERMAN_MAIL.resetButton);
  });

  test('a language that lacks texts has no email in two languages', () => {
    const half = identityOptions.parse({
      pages: { languages: ['fr', 'de'] },
      mail: { texts: { fr: { verifySubject: 'Confirmez' } } },
    });
    assert.deepEqual(
      [missingMailTexts(half, 'fr').length, missingMailTexts(half, 'de').length],
      [MAIL_KEYS.length - 1, 0],
    );
    assert.equal(mailWords(half).in('fr').language, 'de');
    const none = identityOptions.parse({ pages: { languages: ['fr'] } });
    assert.equal(mailWords(none).in('fr').language, 'en');
    const whole = identityOptions.parse({ pages: { languages: ['fr'] }, mail: { texts: { fr: ENGLISH_MAIL } } });
    assert.equal(mailWords(whole).in('fr').language, 'fr');
  });
});
