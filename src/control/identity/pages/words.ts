/**
 * The catalogue of the pages' texts: shipped languages, what the configuration says in their place, and which language
 * a request gets. Knows nothing of HTML.
 */
import type { PagesOptions } from './options.ts';
import { GERMAN } from './texts-de.ts';
import { ENGLISH, TEXT_KEYS, type TextKey } from './texts-en.ts';

export type Texts = Readonly<Record<TextKey, string>>;
/** Values for the places of a text, by name. */
export type Values = Readonly<Record<string, string | number>>;

const SHIPPED: Readonly<Record<string, Texts>> = { en: ENGLISH, de: GERMAN };

/** Where a value goes. */
const PLACE = /\{([a-z]+)\}/g;

export const placesOf = (text: string): string[] => [...text.matchAll(PLACE)].map(([, name = '']) => name).sort();

/** Texts by language, in the order of preference. Throws a `TypeError` on a language that lacks texts. */
export function catalogueOf({ languages, texts }: Pick<PagesOptions, 'languages' | 'texts'>): Map<string, Texts> {
  return new Map(
    languages.map((language) => {
      const { texts: found, missing } = textsIn(TEXT_KEYS, SHIPPED[language], texts[language]);
      if (missing.length > 0)
        throw new TypeError(`identity.pages.texts.${language} lacks ${missing.length} texts: ${missing.join(', ')}`);
      return [language, found as Texts];
    }),
  );
}

type Some<Key extends string> = Readonly<Partial<Record<Key, string | undefined>>>;

/** The texts of one language, what is given in place of what is shipped, and the keys that neither has. */
export function textsIn<Key extends string>(
  keys: readonly Key[],
  shipped: Some<Key> | undefined,
  given: Some<Key> | undefined,
): { readonly texts: Some<Key>; readonly missing: readonly Key[] } {
  const texts = Object.fromEntries(keys.map((key) => [key, given?.[key] ?? shipped?.[key]])) as Some<Key>;
  return { texts, missing: keys.filter((key) => texts[key] === undefined) };
}

/** A text with its values; `show` makes of a value what stands in the page. */
export function filled(text: string, values: Values, show: (value: string | number) => string = String): string {
  return text.replace(PLACE, (whole, name: string) => (Object.hasOwn(values, name) ? show(values[name]!) : whole));
}

/**
 * Of `known`, the language that is wanted most (RFC 9110 §12.5.4, RFC 4647 §3.4: a range loses its last parts until it
 * fits); the first where none is. `wishes` come before the header, such as what somebody chose.
 */
export function languageFor(
  known: readonly string[],
  wishes: readonly (string | null | undefined)[],
  header: string | null | undefined,
): string {
  return wantedLanguage(known, wishes, header) ?? known[0] ?? 'en';
}

/** As `languageFor`; undefined where none of the known ones is wanted. */
export function wantedLanguage(
  known: readonly string[],
  wishes: readonly (string | null | undefined)[],
  header: string | null | undefined,
): string | undefined {
  const ranges = (header ?? '')
    .slice(0, 1_000)
    .split(',')
    .map((part) => {
      const [range = '', ...parameters] = part.trim().split(/\s*;\s*/);
      const weight = parameters.find((each) => /^q=/i.test(each));
      return { range, weight: weight === undefined ? 1 : Number(weight.slice(2)) };
    })
    .filter(({ weight }) => weight > 0)
    // Sorting is stable: of equal weight, the one that comes first.
    .sort((a, b) => b.weight - a.weight)
    .map(({ range }) => range);
  for (const wish of [...wishes, ...ranges]) {
    for (
      let range = wish?.toLowerCase() ?? '';
      range !== '';
      range = range.slice(0, Math.max(0, range.lastIndexOf('-')))
    ) {
      const found = known.find((language) => language.toLowerCase() === range);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
