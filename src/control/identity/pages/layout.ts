/**
 * What all pages of the identity service have in common: name and logo, look, language, headers, escaping. Plain HTML
 * that works without scripts, with a keyboard and with a screen reader: one heading, labels, errors announced and tied
 * to their field, visible focus, text that scales, 320 pixels, dark mode. Everything from outside is escaped.
 */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { PagesOptions } from './options.ts';
import { styleOf } from './style.ts';
import type { TextKey } from './texts-en.ts';
import { catalogueOf, filled, languageFor, type Texts, type Values } from './words.ts';

/** The cookie with the language that somebody chose; nobody who does not choose gets one. */
const COOKIE = 'gh_language';
const YEAR_SECONDS = 365 * 86_400;

export type PageHeaders = Readonly<Record<string, string>>;

/** What a page is asked with. */
export interface PageRequest {
  field(name: string): string | null | undefined;
  readonly query: URLSearchParams;
}

export interface PageSet {
  /** No script, no frame, nothing from elsewhere. `form-action` stays open: a consent leads on to the application. */
  readonly headers: PageHeaders;
  /**
   * For pages that links of emails lead to: forms go nowhere but back, and nobody else keeps, frames or lists the page,
   * whose address holds the code.
   */
  readonly linkHeaders: PageHeaders;
  pageFor(request: PageRequest): Page;
}

/** The pages as one request sees them: in its language. */
export interface Page {
  readonly language: string;
  /** Whether somebody chose the language, now or before, and not their browser. */
  readonly isChosen: boolean;
  /** Text, not HTML. */
  text(key: TextKey, values?: Values): string;
  /** HTML of a text, escaped; its values are shown strong. */
  rich(key: TextKey, values?: Values): string;
  /**
   * The whole page; `title` is text, `body` is HTML. `canChoose`: this address may be asked again in another language.
   */
  whole(title: string, body: string, canChoose?: boolean): string;
  /** A `set-cookie` field where somebody has just chosen the language. */
  readonly setCookie: string | undefined;
}

const TYPES: Readonly<Record<string, string>> = {
  svg: 'image/svg+xml',
  png: 'image/png',
  webp: 'image/webp',
  jpg: 'image/jpeg',
};

/** Of pages that the provider writes itself: `script-src` is empty until it puts the hash of its one script there. */
export const PROVIDER_PAGE_POLICY = "default-src 'none'; script-src; frame-ancestors 'none'; base-uri 'none'";

export function html(text: unknown): string {
  return String(text).replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
}

/** Throws when the logo cannot be read or a language lacks texts. `isSecure`: cookies go over https only. */
export function makePages(options: PagesOptions, isSecure: boolean): PageSet {
  const style = styleOf(options);
  const catalogue = catalogueOf(options);
  const logo = logoOf(options.logo);
  const policy = [
    "default-src 'none'",
    `style-src 'sha256-${hash('sha256', style, 'base64')}'`,
    ...(logo === undefined ? [] : ['img-src data:']),
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
    vary: 'accept-language, cookie',
  };
  const linkHeaders = {
    ...headers,
    'content-security-policy': `${policy}; form-action 'self'`,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'x-robots-tag': 'noindex',
  };
  const languages = [...catalogue.keys()];
  const banner = `<header>${logo === undefined ? '' : `<img src="${logo}" alt="">`}<span>${html(options.name)}</span></header>`;
  return {
    headers,
    linkHeaders,
    pageFor({ field, query }) {
      const chosen = query.get('lang');
      const kept = new RegExp(`(?:^|;) *${COOKIE}=([\\w-]{1,40})`).exec(field('cookie') ?? '')?.[1];
      const wishes = [chosen, kept, ...(query.get('ui_locales') ?? '').slice(0, 200).split(' ')];
      const language = languageFor(languages, wishes, field('accept-language'));
      const texts = catalogue.get(language) as Texts;
      const text: Page['text'] = (key, values = {}) => filled(texts[key], values);
      const choice = (): string => choiceOf(languages, language, query, text('languageChoice'));
      return {
        language,
        isChosen: language === chosen || language === kept,
        text,
        rich: (key, values = {}) => filled(html(texts[key]), values, (value) => `<strong>${html(value)}</strong>`),
        whole: (title, body, canChoose = false) => `<!doctype html>
<html lang="${html(language)}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${html(title)} · ${html(options.name)}</title><style>${style}</style></head>
<body>${banner}<main><h1>${html(title)}</h1>${body}</main>${canChoose && languages.length > 1 ? choice() : ''}</body></html>`,
        setCookie:
          chosen !== null && chosen === language
            ? `${COOKIE}=${language}; Path=/; Max-Age=${YEAR_SECONDS}; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
            : undefined,
      };
    },
  };
}

/** Links to the same address in the other languages, each in its own name. */
function choiceOf(languages: readonly string[], own: string, query: URLSearchParams, label: string): string {
  const links = languages
    .filter((language) => language !== own)
    .map((language) => {
      const there = new URLSearchParams(query);
      there.set('lang', language);
      const name = new Intl.DisplayNames([language], { type: 'language' }).of(language) ?? language;
      return `<a href="?${html(there)}" lang="${html(language)}" hreflang="${html(language)}">${html(name)}</a>`;
    });
  return `<footer><nav aria-label="${html(label)}">${links.join(' ')}</nav></footer>`;
}

function logoOf(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  return `data:${TYPES[file.slice(file.lastIndexOf('.') + 1)]};base64,${readFileSync(file).toString('base64')}`;
}

/** What is wrong, announced; its id is what `described` ties a field to. */
export function errorBox(problem: string | undefined): string {
  return problem === undefined ? '' : `<p class="error" role="alert" id="problem">${html(problem)}</p>`;
}

export const described = (problem: string | undefined): string =>
  problem === undefined ? '' : ' aria-invalid="true" aria-describedby="problem"';

export function problemPage(page: Page, title: TextKey, message: string): string {
  return page.whole(page.text(title), `<p role="alert">${html(message)}</p>`);
}
