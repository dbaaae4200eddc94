/**
 * In which language somebody gets emails: what the account says, else what was read at its registration, else the
 * default.
 */
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { wantedLanguage } from '../pages/words.ts';
import { invalidField } from '../problem.ts';
import type { User } from '../tables.ts';

/** Of the page that somebody reads or of their `Accept-Language`; null where it names none that there is. */
export function languageOfCaller({ options }: Pick<IdentityContext, 'options'>, caller: Caller): string | null {
  return wantedLanguage(options.pages.languages, [], caller.languages) ?? null;
}

/** What somebody chose on a page becomes the account's when they sign in there. */
export async function keepLanguage({ store }: IdentityContext, user: User, language: string): Promise<void> {
  if (user.language === language) return;
  await store.db.updateTable('users').set({ language }).where('id', '=', user.id).execute();
}

/** As the configuration spells it. Throws 400 where there is no such language. */
export function knownLanguage({ options }: Pick<IdentityContext, 'options'>, asked: string): string {
  const { languages } = options.pages;
  const found = wantedLanguage(languages, [asked], null);
  if (found === undefined) throw invalidField('language', `one of ${languages.join(', ')}`, asked);
  return found;
}
