/** What the schema of `identity.pages` cannot see: files, languages without texts, places of texts, contrast. */
import { statSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import type { OptionContext } from '../../../data/contract/options.ts';
import type { PagesOptions } from './options.ts';
import { hardToRead } from './style.ts';
import { ENGLISH, type TextKey } from './texts-en.ts';
import { catalogueOf, placesOf } from './words.ts';

const MOST_LOGO_BYTES = 64 * 1024;

/** The options with the logo's absolute path; problems and warnings go to the context, whose key is `identity`. */
export function checkPages(options: PagesOptions, context: OptionContext): PagesOptions {
  const at = (...more: (string | number)[]) => ({ at: ['pages', ...more] });
  for (const [language, texts] of Object.entries(options.texts)) {
    if (!options.languages.includes(language))
      context.problem('has texts of a language that nobody gets', {
        ...at('texts', language),
        expected: `one of ${options.languages.join(', ')}, or the language in \`languages\``,
      });
    for (const [key, text] of Object.entries(texts)) {
      const known = placesOf(ENGLISH[key as TextKey]);
      const unknown = placesOf(text ?? '').filter((name) => !known.includes(name));
      if (unknown.length > 0)
        context.problem('has a place for which there is no value', {
          ...at('texts', language, key),
          got: `{${unknown[0]}}`,
          expected: known.length === 0 ? 'no place' : known.map((name) => `{${name}}`).join(', '),
        });
    }
  }
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
