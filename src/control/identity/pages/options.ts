/** `identity.pages`: whose pages they look like, and in which languages they speak. Checked further by check.ts. */
import * as z from 'zod';
import { ENGLISH } from './texts-en.ts';

const colour = (meaning: string) =>
  z
    .string()
    .regex(/^#[0-9a-fA-F]{6}$/, 'a colour such as #1f5fd0')
    .optional()
    .describe(meaning);

/** The names of the console's own variables (console/style.css), which give the defaults. */
const palette = (where: string) =>
  z
    .strictObject({
      accent: colour(`Links, buttons and focus, ${where}; text on a button has the colour \`card\`.`),
      ink: colour(`Text, ${where}.`),
      soft: colour(`Hints, ${where}.`),
      paper: colour(`Around the form, ${where}.`),
      card: colour(`Behind the form, ${where}.`),
      line: colour(`Lines and borders, ${where}.`),
      bad: colour(`What is wrong, ${where}.`),
    })
    .prefault({})
    .describe(`Colours ${where}. Default: the console’s.`);

/** Texts by key, each with the English one as its meaning. */
export function textsOf<Key extends string>(english: Readonly<Record<Key, string>>) {
  const keys = Object.keys(english) as Key[];
  return z.strictObject(
    Object.fromEntries(
      keys.map((key) => [key, z.string().min(1).max(500).optional().describe(`English: ${english[key]}`)]),
    ) as Record<Key, z.ZodOptional<z.ZodString>>,
  );
}

export const language = z.string().regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'a language such as en or pt-BR');

export const pagesOptions = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(100)
    .default('Gatehouse')
    .describe('Shown above every page and in its title, and in the emails and their subjects.'),
  logo: z
    .string()
    .regex(/\.(svg|png|webp|jpg)$/, 'a file that ends in .svg, .png, .webp or .jpg')
    .optional()
    .describe('File of a logo shown beside the name, at most 64 KiB, read at start.'),
  colours: z
    .strictObject({ light: palette('where the system is light'), dark: palette('where the system is dark') })
    .prefault({})
    .describe('Colours. Text that is hard to read on what is behind it is warned of.'),
  languages: z
    .array(language)
    .min(1)
    .max(50)
    .default(['en', 'de'])
    .describe(
      'Languages that people may get on pages and in emails, by `Accept-Language` or their own choice; the first is for everybody else. `en` and `de` are shipped; any other needs all of its texts.',
    ),
  texts: z
    .record(language, textsOf(ENGLISH))
    .default({})
    .describe('Texts by language, in place of the shipped ones; `{name}` stands for a value. Plain text, no HTML.'),
});

export type PagesOptions = z.output<typeof pagesOptions>;
export type Palette = PagesOptions['colours']['light'];
