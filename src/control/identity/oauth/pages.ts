/** The pages of the provider: sign in, second factor, consent. What they look like is said by pages/layout.ts. */
import { described, errorBox, html, type Page } from '../pages/layout.ts';
import type { TextKey } from '../pages/texts-en.ts';

/** `links`: addresses of the pages for those who have no password at hand, by their text. */
export function loginPage(
  page: Page,
  action: string,
  application: string,
  login: string,
  links: Partial<Record<TextKey, string>>,
  problem?: string,
): string {
  const more = Object.entries(links).map(([key, to]) => `<a href="${html(to)}">${html(page.text(key as TextKey))}</a>`);
  return page.whole(
    page.text('signInFor', { application }),
    `${errorBox(problem)}<form method="post" action="${html(action)}/login" autocomplete="on">
<label for="login">${html(page.text('login'))}</label>
<input id="login" name="login" type="text" value="${html(login)}" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="320"${described(problem)}>
<label for="password">${html(page.text('password'))}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="256"${described(problem)}>
<button type="submit">${html(page.text('signIn'))}</button></form>${abortForm(page, action, 'cancel')}${
      more.length === 0 ? '' : `<p class="more">${more.join(' ')}</p>`
    }`,
    problem === undefined,
  );
}

export function factorPage(page: Page, action: string, ticket: string, problem?: string): string {
  return page.whole(
    page.text('factorTitle'),
    `${errorBox(problem)}<form method="post" action="${html(action)}/factor">
<input type="hidden" name="ticket" value="${html(ticket)}">
<label for="code">${html(page.text('factorCode'))}</label>
<input id="code" name="code" type="text" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" required maxlength="20"${described(problem)}>
<button type="submit">${html(page.text('continue'))}</button></form>${abortForm(page, action, 'cancel')}`,
  );
}

const SCOPES: Readonly<Record<string, TextKey>> = {
  openid: 'scopeOpenid',
  email: 'scopeEmail',
  profile: 'scopeProfile',
  offline_access: 'scopeOffline',
};

export function consentPage(
  page: Page,
  action: string,
  application: string,
  account: string,
  scopes: readonly string[],
): string {
  const items = scopes.map((scope) => {
    const key = Object.hasOwn(SCOPES, scope) ? SCOPES[scope] : undefined;
    return `<li>${key === undefined ? page.rich('scopeOther', { scope }) : html(page.text(key))}</li>`;
  });
  return page.whole(
    page.text('consentTitle', { application }),
    `<p>${page.rich('consentText', { account, application })}</p><ul>${items.join('')}</ul>
<form method="post" action="${html(action)}/confirm"><button type="submit">${html(page.text('allow'))}</button></form>${abortForm(page, action, 'deny')}`,
    true,
  );
}

function abortForm(page: Page, action: string, word: TextKey): string {
  return `<form method="post" action="${html(action)}/abort"><button type="submit" class="second">${html(page.text(word))}</button></form>`;
}
