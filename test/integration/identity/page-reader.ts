/**
 * Reads a page as a browser without scripts does: follows a link, fills the form in, sends it, without cookies. Every
 * page that is read is also held against what all pages must be: headers, one heading, labels, nothing that runs.
 */
import assert from 'node:assert/strict';

export interface ReadPage {
  readonly url: string;
  readonly status: number;
  readonly html: string;
  readonly headers: Headers;
}

/** What browsers say behind `Referrer-Policy: no-referrer`. */
const FROM_OWN_PAGE = { origin: 'null', 'sec-fetch-site': 'same-origin' };

export async function open(url: string, headers: Record<string, string> = {}): Promise<ReadPage> {
  return await read(await fetch(url, { headers, redirect: 'manual' }), url);
}

/** Sends the form of the page that has all the named fields, with its hidden ones, where a browser would. */
export async function submit(
  page: ReadPage,
  values: Readonly<Record<string, string>>,
  headers: Record<string, string> = FROM_OWN_PAGE,
): Promise<ReadPage> {
  const names = Object.keys(values);
  const forms = [...page.html.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)];
  const found = forms.find(([, , body = '']) => names.every((name) => body.includes(` name="${name}"`)));
  assert.ok(found, `a form with ${names.join(', ')}: ${page.html}`);
  const [, head = '', body = ''] = found;
  assert.ok(head.includes('method="post"'), head);
  const url = new URL(/ action="([^"]*)"/.exec(head)?.[1] ?? '', page.url).href;
  const hidden = [...body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)];
  const form = new URLSearchParams({
    ...Object.fromEntries(hidden.map(([, name = '', value = '']) => [name, unescaped(value)])),
    ...values,
  });
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers,
    body: form,
  });
  return await read(response, url);
}

/** The complaint that is announced and tied to the field. */
export function complaintAt(page: ReadPage, id: string): string {
  const input = inputs(page.html).find((each) => each.includes(` id="${id}"`)) ?? '';
  assert.ok(input.includes('aria-invalid="true"'), `the field ${id} is marked: ${page.html}`);
  const about = /aria-describedby="([^"]*)"/.exec(input)?.[1]?.split(' ') ?? [];
  assert.ok(about.includes(`${id}-problem`), input);
  const [, text] = new RegExp(`<p class="error" role="alert" id="${id}-problem">([^<]*)</p>`).exec(page.html) ?? [];
  assert.ok(text !== undefined, page.html);
  return unescaped(text);
}

export const headingOf = (page: ReadPage): string => unescaped(/<h1>([^<]*)<\/h1>/.exec(page.html)?.[1] ?? '');

async function read(response: Response, url: string): Promise<ReadPage> {
  const page = { url, status: response.status, html: await response.text(), headers: response.headers };
  checkHeaders(page);
  checkHtml(page.html);
  return page;
}

function checkHeaders({ headers, html }: ReadPage): void {
  const get = (name: string): string => headers.get(name) ?? '';
  assert.equal(get('content-type'), 'text/html; charset=utf-8', html);
  const policy = get('content-security-policy');
  for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"])
    assert.ok(policy.split('; ').includes(part), `${part} in ${policy}`);
  assert.ok(!/script|unsafe|\*|https?:/.test(policy), policy);
  assert.equal(get('cache-control'), 'no-store');
  assert.equal(get('referrer-policy'), 'no-referrer');
  assert.equal(get('x-content-type-options'), 'nosniff');
  assert.equal(get('x-frame-options'), 'DENY');
  assert.equal(headers.get('set-cookie'), null);
}

function checkHtml(html: string): void {
  assert.match(html, /^<!doctype html>\n<html lang="en">/);
  assert.match(html, /<meta name="viewport" content="width=device-width,initial-scale=1">/);
  assert.equal(html.match(/<h1>/g)?.length, 1, 'one heading');
  const [, title = '', brand = ''] = /<title>(.*) · ([^<]*)<\/title>/.exec(html) ?? [];
  assert.equal(title, /<h1>([^<]*)<\/h1>/.exec(html)?.[1]);
  assert.ok(html.includes(`<span>${brand}</span></header>`), 'says whose page it is');
  const tags = html.match(/<[a-z][^>]*>/gi) ?? [];
  for (const tag of tags) {
    assert.ok(!/^<(script|iframe|img|object|embed|link|base)\b/i.test(tag), tag);
    assert.ok(!/\s(on[a-z]+|src|style|srcset)\s*=/i.test(tag.replaceAll(/"[^"]*"/g, '""')), tag);
    assert.ok(
      !/(href|action)="(?!(?:[a-z-]+|\?[^"]*&#38;lang=de|\?lang=de)")/.test(tag),
      `leads nowhere but to the pages: ${tag}`,
    );
  }
  assert.equal(html.match(/<form/g)?.length ?? 0, html.match(/<button type="submit">/g)?.length ?? 0);
  const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
  assert.equal(new Set(ids).size, ids.length, `ids are unique: ${ids}`);
  for (const input of inputs(html)) {
    const id = / id="([^"]*)"/.exec(input)?.[1];
    assert.ok(new RegExp(`<label for="${id}">[^<]+</label>`).test(html), `a label for ${input}`);
    assert.ok(/ autocomplete="[a-z-]+"/.test(input), input);
    for (const about of /aria-describedby="([^"]*)"/.exec(input)?.[1]?.split(' ') ?? [])
      assert.ok(ids.includes(about), `${about} of ${input}`);
  }
}

const inputs = (html: string): string[] => html.match(/<input (?!type="hidden")[^>]*>/g) ?? [];

const unescaped = (text: string): string => text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
