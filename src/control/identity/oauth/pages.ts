/** The pages of the provider: sign in, second factor, consent. What they look like is said by pages/layout.ts. */
import { described, errorBox, html, page } from '../pages/layout.ts';

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
