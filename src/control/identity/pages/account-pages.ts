/**
 * The pages of accounts as HTML: what links of emails and the first administrator's link lead to, registering, signing
 * in. What is wrong is said at its field, announced, and the first such field has the focus. Forms post to their own
 * page by a relative address, so that they work wherever the service is mounted, and without the code that the address
 * held: it is a hidden field.
 */
import { html, type Page } from './layout.ts';
import type { Complaints } from './problems.ts';
import type { TextKey } from './texts-en.ts';

interface FieldOptions {
  readonly name: string;
  readonly label: TextKey;
  readonly type: 'email' | 'text' | 'password';
  readonly autocomplete: string;
  readonly value?: string | undefined;
  readonly hint?: string;
  readonly optional?: boolean;
  /** Where a page has two forms with a field of one name. */
  readonly id?: string;
}

/** A form's fields, hidden ones by name and value. */
interface FormOptions {
  readonly hidden?: Readonly<Record<string, string | undefined>>;
  readonly fields: string;
  readonly button: TextKey;
}

export interface FormState {
  readonly page: Page;
  readonly token: string;
  /** What was typed before. */
  readonly given: ReadonlyMap<string, string>;
  readonly complaints: Complaints;
  /** Least number of characters of a new password. */
  readonly minLength: number;
}

type Shown = Pick<FormState, 'page' | 'complaints'>;

function field({ page, complaints }: Shown, options: FieldOptions): string {
  const { name, label, type, hint, value } = options;
  const id = options.id ?? name;
  const complaint = complaints.get(name);
  const about = [...(hint === undefined ? [] : [`${id}-hint`]), ...(complaint === undefined ? [] : [`${id}-problem`])];
  const attributes = [
    `id="${id}" name="${name}" type="${type}" autocomplete="${options.autocomplete}"`,
    type === 'password' ? 'maxlength="256"' : 'autocapitalize="none" spellcheck="false" maxlength="320"',
    value === undefined || type === 'password' ? '' : `value="${html(value)}"`,
    options.optional === true ? '' : 'required',
    about.length === 0 ? '' : `aria-describedby="${about.join(' ')}"`,
    complaint === undefined ? '' : 'aria-invalid="true"',
    complaint !== undefined && complaints.keys().next().value === name ? 'autofocus' : '',
  ].filter(Boolean);
  return `
<label for="${id}">${html(page.text(label))}${options.optional === true ? ` ${html(page.text('optional'))}` : ''}</label>${
    hint === undefined ? '' : `\n<p class="hint" id="${id}-hint">${html(hint)}</p>`
  }${complaint === undefined ? '' : `\n<p class="error" role="alert" id="${id}-problem">${html(complaint)}</p>`}
<input ${attributes.join(' ')}>`;
}

/** Not sent: it shows whose account it is, to people and to what keeps their passwords. */
function whose({ page }: Shown, account: string, id = 'account'): string {
  return `
<label for="${id}">${html(page.text('account'))}</label>
<input id="${id}" type="text" autocomplete="username" value="${html(account)}" readonly>`;
}

function form({ page }: Shown, action: string, { hidden = {}, fields, button }: FormOptions): string {
  const inputs = Object.entries(hidden)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `<input type="hidden" name="${name}" value="${html(value)}">`);
  return `<form method="post" action="${action}">${inputs.join('')}${fields}
<button type="submit">${html(page.text(button))}</button></form>`;
}

const general = ({ complaints }: Shown): string => {
  const complaint = complaints.get('');
  return complaint === undefined ? '' : `<p class="error" role="alert">${html(complaint)}</p>`;
};

const paragraph = (page: Page, key: TextKey): string => `<p>${html(page.text(key))}</p>`;

function link(page: Page, to: string, key: TextKey): string {
  return `<a href="${to}">${html(page.text(key))}</a>`;
}

const newPassword = (page: Page, name: string, minLength: number, id?: string): FieldOptions => ({
  name,
  label: name === 'password' ? 'password' : 'newPassword',
  type: 'password',
  autocomplete: 'new-password',
  hint: page.text('passwordHint', { count: minLength }),
  ...(id === undefined ? {} : { id }),
});

const userName = (page: Page, value: string | undefined, id?: string): FieldOptions => ({
  name: 'username',
  label: 'username',
  type: 'text',
  autocomplete: 'off',
  value,
  hint: page.text('usernameHint'),
  ...(id === undefined ? {} : { id }),
});

/** What a new account is made of. */
function accountFields(state: FormState): string {
  const { page, given, minLength } = state;
  return [
    field(state, { name: 'email', label: 'email', type: 'email', autocomplete: 'email', value: given.get('email') }),
    field(state, { ...userName(page, given.get('username')), autocomplete: 'username', optional: true }),
    field(state, newPassword(page, 'password', minLength)),
  ].join('');
}

export function setupPage(state: FormState): string {
  const { page, token } = state;
  return page.whole(
    page.text('setupTitle'),
    `${general(state)}${paragraph(page, 'setupText')}
${form(state, 'setup', { hidden: { token }, fields: accountFields(state), button: 'setupButton' })}`,
    true,
  );
}

/** `canSignIn`: there is a page for it. */
export function registerPage(state: FormState, canSignIn: boolean): string {
  const { page } = state;
  const more = canSignIn ? `<p class="more">${link(page, 'sign-in', 'signInLink')}</p>` : '';
  return page.whole(
    page.text('registerTitle'),
    `${general(state)}${form(state, 'register', { fields: accountFields(state), button: 'registerButton' })}${more}`,
    true,
  );
}

/** `next`: where it leads afterwards; carried along. */
export function signInPage(state: FormState, next: string | undefined, canRegister: boolean): string {
  const { page, given } = state;
  const fields = [
    field(state, { name: 'login', label: 'login', type: 'text', autocomplete: 'username', value: given.get('login') }),
    field(state, { name: 'password', label: 'password', type: 'password', autocomplete: 'current-password' }),
  ].join('');
  const more = [
    link(page, 'forgot-password', 'forgotLink'),
    ...(canRegister ? [link(page, 'register', 'registerLink')] : []),
  ];
  return page.whole(
    page.text('signInTitle'),
    `${general(state)}${form(state, 'sign-in', { hidden: { next }, fields, button: 'signIn' })}<p class="more">${more.join(' ')}</p>`,
    true,
  );
}

export function signInFactorPage(state: FormState, next: string | undefined, ticket: string): string {
  const { page } = state;
  const fields = field(state, { name: 'code', label: 'factorCode', type: 'text', autocomplete: 'one-time-code' });
  return page.whole(
    page.text('factorTitle'),
    `${general(state)}${form(state, 'sign-in', { hidden: { next, ticket }, fields, button: 'continue' })}`,
  );
}

/** A password or, for a new account, another in its place: in two forms, so that each asks for one thing. */
export function verifyPage(state: FormState, account: string, isNewAccount: boolean): string {
  const { page, token, given, complaints, minLength } = state;
  const other = given.has('newPassword') || complaints.has('newPassword');
  const quiet = { page, complaints: new Map<string, string>() };
  const [first, second] = other ? [quiet, state] : [state, quiet];
  const taken = complaints.has('username') || given.has('username');
  const renamed = (id: string): string => (taken ? field(state, userName(page, given.get('username'), id)) : '');
  const password: FieldOptions = {
    name: 'password',
    label: isNewAccount ? 'verifyRegistered' : 'verifyPassword',
    type: 'password',
    autocomplete: 'current-password',
  };
  const known = form(state, 'verify-email', {
    hidden: { token },
    fields: `${whose(state, account)}${other ? '' : renamed('username')}${field(first, password)}`,
    button: 'confirm',
  });
  const title = page.text('verifyTitle');
  if (!isNewAccount) return page.whole(title, `${general(state)}${known}`, true);
  const anew = form(state, 'verify-email', {
    hidden: { token },
    fields: `${whose(state, account, 'other-account')}${other ? renamed('other-username') : ''}${field(
      second,
      newPassword(page, 'newPassword', minLength),
    )}`,
    button: 'verifySet',
  });
  return page.whole(
    title,
    `${general(state)}${paragraph(page, 'verifyIntro')}
${known}<h2>${html(page.text('verifyForgotten'))}</h2>${anew}`,
    true,
  );
}

export function resetPage(state: FormState, account: string): string {
  const { page, token, minLength } = state;
  // Whoever lost control of the account may have lost more than its password.
  const others = `
<p class="choice"><input id="others" name="others" type="checkbox" value="remove" autocomplete="off">
<label for="others">${html(page.text('resetOthers'))}</label></p>`;
  const fields = `${whose(state, account)}${field(state, newPassword(page, 'newPassword', minLength))}${others}`;
  return page.whole(
    page.text('resetTitle'),
    `${general(state)}${paragraph(page, 'resetText')}
${form(state, 'reset-password', { hidden: { token }, fields, button: 'resetButton' })}`,
    true,
  );
}

export function forgotPage(state: FormState): string {
  const { page, given } = state;
  const fields = field(state, {
    name: 'email',
    label: 'forgotEmail',
    type: 'email',
    autocomplete: 'email',
    value: given.get('email'),
  });
  return page.whole(
    page.text('forgotTitle'),
    `${general(state)}${form(state, 'forgot-password', { fields, button: 'forgotButton' })}`,
    true,
  );
}

/** The end of a way; `title` and `text` are texts, `next` is HTML. */
export function donePage(page: Page, title: TextKey, text: string, next = ''): string {
  return page.whole(page.text(title), `<p role="status">${html(text)}</p>${next}`);
}

/** A link that opens nothing; `next` is HTML. */
export function deadLinkPage(page: Page, text: TextKey, next = ''): string {
  return page.whole(page.text('deadTitle'), `<p role="alert">${html(page.text(text))}</p>${next}`);
}
