/**
 * The pages of the provider: sign in, second factor, consent, device code, error. Plain HTML that works without scripts,
 * with a keyboard and with a screen reader: one heading, labels, errors announced and tied to their field, visible
 * focus, contrast above 7:1, text that scales, dark mode. Everything from outside is escaped.
 */
import { createHash } from 'node:crypto';

const STYLE = `:root{color-scheme:light dark}body{font:1.0625rem/1.6 system-ui,sans-serif;margin:0;background:#fff;color:#16181d}
main{max-width:26rem;margin:0 auto;padding:2rem 1rem}h1{font-size:1.5rem;line-height:1.25}
label{display:block;font-weight:600;margin-top:1rem}
input{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;border:2px solid #5b6270;border-radius:.4rem;background:#fff;color:inherit}
button{font:inherit;font-weight:600;padding:.65rem 1.2rem;border:2px solid #12418a;border-radius:.4rem;background:#12418a;color:#fff;margin:1.5rem .5rem 0 0;cursor:pointer}
button.second{background:transparent;color:#12418a}:focus-visible{outline:3px solid #b3541e;outline-offset:2px}
.error{border-left:.3rem solid #9b1c1c;padding:.5rem .8rem;color:#8a1414;font-weight:600}.code{font:1.5rem monospace;letter-spacing:.1em}
@media (prefers-color-scheme:dark){body{background:#14161a;color:#eceef2}input{background:#1d2026;border-color:#9aa3b2}.error{color:#ffb4ab;border-color:#ffb4ab}button{background:#a9c7ff;border-color:#a9c7ff;color:#0b1f44}button.second{color:#a9c7ff}}`;

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

function errorBox(problem: string | undefined): string {
  return problem === undefined ? '' : `<p class="error" role="alert" id="problem">${html(problem)}</p>`;
}

const described = (problem: string | undefined): string =>
  problem === undefined ? '' : ' aria-invalid="true" aria-describedby="problem"';

export function loginPage(action: string, application: string, login: string, problem?: string): string {
  return page(
    `Sign in to go on to ${application}`,
    `${errorBox(problem)}<form method="post" action="${html(action)}/login" autocomplete="on">
<label for="login">E-mail address or user name</label>
<input id="login" name="login" type="text" value="${html(login)}" autocomplete="username" autocapitalize="none" required maxlength="320"${described(problem)}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="256"${described(problem)}>
<button type="submit">Sign in</button></form>${abortForm(action)}`,
  );
}

export function factorPage(action: string, ticket: string, problem?: string): string {
  return page(
    'Second factor',
    `${errorBox(problem)}<form method="post" action="${html(action)}/factor">
<input type="hidden" name="ticket" value="${html(ticket)}">
<label for="code">Code of your authenticator app, or a recovery code</label>
<input id="code" name="code" type="text" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" required maxlength="20"${described(problem)}>
<button type="submit">Go on</button></form>${abortForm(action)}`,
  );
}

const SCOPE_WORDS: Readonly<Record<string, string>> = {
  openid: 'know who you are in this service',
  email: 'see your e-mail address',
  profile: 'see your name',
  offline_access: 'do this while you are away, until you end it',
};

export function consentPage(action: string, application: string, account: string, scopes: readonly string[]): string {
  const items = scopes.map((scope) => `<li>${html(SCOPE_WORDS[scope] ?? `use: ${scope}`)}</li>`).join('');
  return page(
    `Allow ${application}?`,
    `<p>You are signed in as <strong>${html(account)}</strong>. <strong>${html(application)}</strong> asks to:</p><ul>${items}</ul>
<form method="post" action="${html(action)}/confirm"><button type="submit">Allow</button></form>${abortForm(action, 'Refuse')}`,
  );
}

function abortForm(action: string, word = 'Cancel'): string {
  return `<form method="post" action="${html(action)}/abort"><button type="submit" class="second">${word}</button></form>`;
}

export function problemPage(title: string, message: string): string {
  return page(title, `<p role="alert">${html(message)}</p>`);
}
