/**
 * What all pages of the identity service have in common: look, headers, escaping. Plain HTML that works without
 * scripts, with a keyboard and with a screen reader: one heading, labels, errors announced and tied to their field,
 * visible focus, contrast above 7:1, text that scales, 320 pixels, dark mode. Everything from outside is escaped.
 */
import { createHash } from 'node:crypto';

const STYLE = `:root{color-scheme:light dark}body{font:1.0625rem/1.6 system-ui,sans-serif;margin:0;background:#fff;color:#16181d}
main{overflow-wrap:anywhere;max-width:26rem;margin:0 auto;padding:2rem 1rem}h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.2rem;line-height:1.3;margin-top:2.5rem}.hint{margin:.1rem 0 .3rem;color:#3f4550}
label{display:block;font-weight:600;margin-top:1rem}
input{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;border:2px solid #5b6270;border-radius:.4rem;background:#fff;color:inherit}
input[type=checkbox]{width:auto;margin-right:.5rem}.choice label{display:inline;font-weight:400}
button{font:inherit;font-weight:600;padding:.65rem 1.2rem;border:2px solid #12418a;border-radius:.4rem;background:#12418a;color:#fff;margin:1.5rem .5rem 0 0;cursor:pointer}
button.second{background:transparent;color:#12418a}:focus-visible{outline:3px solid #b3541e;outline-offset:2px}
.error{border-left:.3rem solid #9b1c1c;padding:.5rem .8rem;color:#8a1414;font-weight:600}.code{font:1.5rem monospace;letter-spacing:.1em}
a{color:#12418a}input[readonly]{border-style:dashed}
@media (prefers-color-scheme:dark){body{background:#14161a;color:#eceef2}.hint{color:#c6ccd6}a{color:#a9c7ff}input{background:#1d2026;border-color:#9aa3b2}.error{color:#ffb4ab;border-color:#ffb4ab}button{background:#a9c7ff;border-color:#a9c7ff;color:#0b1f44}button.second{color:#a9c7ff}}`;

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** No script, no frame, nothing from elsewhere. `form-action` stays open: a consent leads on to the application. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'`,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
} as const;

/** Of pages that the provider writes itself: `script-src` is empty until it puts the hash of its one script there. */
export const PROVIDER_PAGE_POLICY = "default-src 'none'; script-src; frame-ancestors 'none'; base-uri 'none'";

/**
 * Pages that links of emails lead to: forms go nowhere but back, and nobody else keeps, frames or lists the page, whose
 * address holds the code.
 */
export const LINK_PAGE_HEADERS = {
  ...PAGE_HEADERS,
  'content-security-policy': `${PAGE_HEADERS['content-security-policy']}; form-action 'self'`,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'x-robots-tag': 'noindex',
} as const;

export function html(text: unknown): string {
  return String(text).replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
}

/** `body` is HTML; `title` is text. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${html(title)}</title><style>${STYLE}</style></head>
<body><main><h1>${html(title)}</h1>${body}</main></body></html>`;
}

/** What is wrong, announced; its id is what `described` ties a field to. */
export function errorBox(problem: string | undefined): string {
  return problem === undefined ? '' : `<p class="error" role="alert" id="problem">${html(problem)}</p>`;
}

export const described = (problem: string | undefined): string =>
  problem === undefined ? '' : ' aria-invalid="true" aria-describedby="problem"';

export function problemPage(title: string, message: string): string {
  return page(title, `<p role="alert">${html(message)}</p>`);
}
