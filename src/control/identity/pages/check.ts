/**
 * What the schemas of `identity.pages` and `identity.mail.texts` cannot see: files, languages without texts, places of
 * texts, contrast.
 */
import { statSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import type { OptionContext } from '../../../data/contract/options.ts';
import { ENGLISH_MAIL } from '../mail/mail-texts-en.ts';
import { missingMailTexts } from '../mail/mail-words.ts';
import type { IdentitySection } from '../options.ts';
import type { PagesOptions } from './options.ts';
import { hardToRead } from './style.ts';
import { ENGLISH } from './texts-en.ts';
import { catalogueOf, placesOf } from './words.ts';

const MOST_LOGO_BYTES = 64 * 1024;

/** The options with the logo's absolute path; problems and warnings go to the context, whose key is `identity`. */
export function checkPages(options: PagesOptions, context: OptionContext): PagesOptions {
  const at = (...more: (string | number)[]) => ({ at: ['pages', ...more] });
  checkTexts(options.texts, ENGLISH, ['pages', 'texts'], options.languages, context);
  try {
    catalogueOf(options);
  } catch (error) {
    context.problem(messageOf(error), at('languages'));
  }
  for (const { scheme, text, behind, contrast } of hardToRead(options))
    context.warning(`text in ${text} is hard to read on ${behind}: contrast ${contrast} to 1`, {
      ...at('colours', scheme),
      expected: 'at least 4.5 to 1 (WCAG 2.2, 1.4.3)',
    });
  if (options.logo === undefined) return options;
  const file = context.resolve(options.logo);
  try {
    const { size } = statSync(file);
    if (size > MOST_LOGO_BYTES)
      context.problem('is too large', { ...at('logo'), got: `${size} bytes`, expected: `at most ${MOST_LOGO_BYTES}` });
  } catch (error) {
    context.problem(`cannot be read: ${messageOf(error)}`, { ...at('logo'), got: options.logo });
  }
  return { ...options, logo: file };
}

/** Emails may lack texts in a language of one's own: then they are in another. */
export function checkMailTexts(options: Pick<IdentitySection, 'mail' | 'pages'>, context: OptionContext): void {
  const { languages } = options.pages;
  checkTexts(options.mail.texts, ENGLISH_MAIL, ['mail', 'texts'], languages, context);
  for (const language of languages) {
    const missing = missingMailTexts(options, language);
    if (missing.length > 0)
      context.warning(`emails are in another language than ${language}, which lacks ${missing.length} of their texts`, {
        at: ['mail', 'texts'],
        expected: missing.join(', '),
      });
  }
}

type Texts = Readonly<Record<string, Readonly<Record<string, string | undefined>>>>;

function checkTexts(
  given: Texts,
  english: Readonly<Record<string, string>>,
  at: readonly string[],
  languages: readonly string[],
  context: OptionContext,
): void {
  for (const [language, texts] of Object.entries(given)) {
    if (!languages.includes(language))
      context.problem('has texts of a language that is never used', {
        at: [...at, language],
        expected: `one of ${languages.join(', ')}, or the language in \`pages.languages\``,
      });
    for (const [key, text] of Object.entries(texts)) {
      const known = placesOf(english[key] ?? '');
      const unknown = placesOf(text ?? '').filter((name) => !known.includes(name));
      if (unknown.length > 0)
        context.problem('has a place for which there is no value', {
          at: [...at, language, key],
          got: `{${unknown[0]}}`,
          expected: known.length === 0 ? 'no place' : known.map((name) => `{${name}}`).join(', '),
        });
    }
  }
}
