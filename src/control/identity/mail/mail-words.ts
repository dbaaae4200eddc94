/**
 * The catalogue of the emails' texts, made as that of the pages is. An email is in one language as a whole: where a
 * language of one's own lacks texts of emails, they are in the first of `identity.pages.languages` that has them all.
 */
import type { IdentityOptions } from '../options.ts';
import { languageFor, textsIn } from '../pages/words.ts';
import { GERMAN_MAIL } from './mail-texts-de.ts';
import { ENGLISH_MAIL, MAIL_KEYS, type MailKey } from './mail-texts-en.ts';

export type MailTexts = Readonly<Record<MailKey, string>>;

const SHIPPED: Readonly<Record<string, MailTexts>> = { en: ENGLISH_MAIL, de: GERMAN_MAIL };

type Said = Pick<IdentityOptions, 'mail' | 'pages'>;

/** The keys of texts that a language lacks. */
export function missingMailTexts({ mail }: Said, language: string): readonly MailKey[] {
  return textsIn(MAIL_KEYS, SHIPPED[language], mail.texts[language]).missing;
}

export interface MailWords {
  /** The texts for an account's language, or for the default where it has none that is known. */
  in(language: string | null): { readonly language: string; readonly texts: MailTexts };
}

export function mailWords(options: Said): MailWords {
  const catalogue = new Map<string, MailTexts>();
  for (const language of options.pages.languages) {
    const { texts, missing } = textsIn(MAIL_KEYS, SHIPPED[language], options.mail.texts[language]);
    if (missing.length === 0) catalogue.set(language, texts as MailTexts);
  }
  if (catalogue.size === 0) catalogue.set('en', ENGLISH_MAIL);
  const known = [...catalogue.keys()];
  return {
    in(wished) {
      const language = languageFor(known, [wished], null);
      return { language, texts: catalogue.get(language) as MailTexts };
    },
  };
}
