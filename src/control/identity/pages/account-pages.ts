/**
 * The pages that links of emails and the first administrator's link lead to, as HTML. What is wrong is said at its
 * field, announced, and the first such field has the focus. Forms post to their own page by a relative address, so
 * that they work wherever the service is mounted, and without the code that the address held: it is a hidden field.
 */
import { html, page } from './layout.ts';

/** By name of the field; '' is what belongs to none. */
export type Complaints = ReadonlyMap<string, string>;

interface FieldOptions {
  readonly name: string;
  readonly label: string;
  readonly type: 'email' | 'text' | 'password';
  readonly autocomplete: string;
  readonly value?: string | undefined;
  readonly hint?: string;
  readonly optional?: boolean;
  /** Where a page has two forms with a field of one name. */
  readonly id?: string;
}

function field(options: FieldOptions, complaints: Complaints): string {
  const { name, label, type, hint, value } = options;
  const id = options.id ?? name;
  const complaint = complaints.get(name);
  const about = [...(hint === undefined ? [] : [`${id}-hint`]), ...(complaint === undefined ? [] : [`${id}-problem`])];
  const attributes = [
    `id="${id}" name="${name}" type="${type}" autocomplete="${options.autocomplete}"`,
    type === 'password' ? '' : 'autocapitalize="none" spellcheck="false"',
    value === undefined || type === 'password' ? '' : `value="${html(value)}"`,
    options.optional === true ? '' : 'required',
    about.length === 0 ? '' : `aria-describedby="${about.join(' ')}"`,
    complaint === undefined ? '' : 'aria-invalid="true"',
    complaint !== undefined && complaints.keys().next().value === name ? 'autofocus' : '',
  ].filter(Boolean);
  return `
<label for="${id}">${html(label)}${options.optional === true ? ' (may be left empty)' : ''}</label>${
    hint === undefined ? '' : `\n<p class="hint" id="${id}-hint">${html(hint)}</p>`
  }${complaint === undefined ? '' : `\n<p class="error" role="alert" id="${id}-problem">${html(complaint)}</p>`}
<input ${attributes.join(' ')}>`;
}

/** Not sent: it shows whose account it is, to people and to what keeps their passwords. */
function whose(account: string, id = 'account'): string {
  return `
<label for="${id}">Account</label>
<input id="${id}" type="text" autocomplete="username" value="${html(account)}" readonly>`;
}

function form(action: string, token: string | undefined, fields: string, button: string): string {
  const hidden = token === undefined ? '' : `<input type="hidden" name="token" value="${html(token)}">`;
  return `<form method="post" action="${action}">${hidden}${fields}
<button type="submit">${html(button)}</button></form>`;
}

const general = (complaints: Complaints): string => {
  const complaint = complaints.get('');
  return complaint === undefined ? '' : `<p class="error" role="alert">${html(complaint)}</p>`;
};

const newPassword = (name: string, minLength: number, id?: string): FieldOptions => ({
  name,
  label: 'New password',
  type: 'password',
  autocomplete: 'new-password',
  hint: `At least ${minLength} characters; a few words in a row are good. No common password, not your own name.`,
  ...(id === undefined ? {} : { id }),
});

const userName = (value: string | undefined, id?: string): FieldOptions => ({
  name: 'username',
  label: 'User name',
  type: 'text',
  autocomplete: 'off',
  value,
  hint: '2 to 32 letters, digits, ".", "_" or "-".',
  ...(id === undefined ? {} : { id }),
});

export interface FormState {
  readonly token: string;
  /** What was typed before. */
  readonly given: ReadonlyMap<string, string>;
  readonly complaints: Complaints;
  /** Least number of characters of a new password. */
  readonly minLength: number;
}

export function setupPage({ token, given, complaints, minLength }: FormState): string {
  const fields = [
    field(
      { name: 'email', label: 'E-mail address', type: 'email', autocomplete: 'email', value: given.get('email') },
      complaints,
    ),
    field({ ...userName(given.get('username')), autocomplete: 'username', optional: true }, complaints),
    field({ ...newPassword('password', minLength), label: 'Password' }, complaints),
  ];
  return page(
    'Make the first administrator',
    `${general(complaints)}<p>This gateway has no administrator yet. Who has this link can become it, once.</p>
${form('setup', token, fields.join(''), 'Make the administrator')}`,
  );
}

/** A password or, for a new account, another in its place: in two forms, so that each asks for one thing. */
export function verifyPage(state: FormState, account: string, isNewAccount: boolean): string {
  const { token, given, complaints, minLength } = state;
  const other = given.has('newPassword') || complaints.has('newPassword');
  const first = other ? new Map<string, string>() : complaints;
  const taken = complaints.has('username') || given.has('username');
  const renamed = (id: string): string => (taken ? field(userName(given.get('username'), id), complaints) : '');
  const password: FieldOptions = {
    name: 'password',
    label: isNewAccount ? 'Password that was chosen with the registration' : 'Password of your account',
    type: 'password',
    autocomplete: 'current-password',
  };
  const known = form(
    'verify-email',
    token,
    `${whose(account)}${other ? '' : renamed('username')}${field(password, first)}`,
    'Confirm',
  );
  const title = 'Confirm your address';
  if (!isNewAccount) return page(title, `${general(complaints)}${known}`);
  const anew = form(
    'verify-email',
    token,
    `${whose(account, 'other-account')}${other ? renamed('other-username') : ''}${field(
      newPassword('newPassword', minLength),
      other ? complaints : new Map(),
    )}`,
    'Set this password and confirm',
  );
  return page(
    title,
    `${general(complaints)}<p>If you did not register, close this page: no account comes to be.</p>
${known}<h2>You forgot it, or somebody else chose it?</h2>${anew}`,
  );
}

/** Whoever lost control of the account may have lost more than its password. */
const OTHER_WAYS = `
<p class="choice"><input id="others" name="others" type="checkbox" value="remove" autocomplete="off">
<label for="others">Remove passkeys and linked accounts, too</label></p>`;

export function resetPage({ token, complaints, minLength }: FormState, account: string): string {
  return page(
    'Set a new password',
    `${general(complaints)}<p>All sessions, keys and applications that use the account are signed out.</p>
${form('reset-password', token, `${whose(account)}${field(newPassword('newPassword', minLength), complaints)}${OTHER_WAYS}`, 'Set the password')}`,
  );
}

export function forgotPage(given: ReadonlyMap<string, string>, complaints: Complaints): string {
  const address: FieldOptions = {
    name: 'email',
    label: 'E-mail address of your account',
    type: 'email',
    autocomplete: 'email',
    value: given.get('email'),
  };
  return page(
    'Ask for a new password',
    `${general(complaints)}${form('forgot-password', undefined, field(address, complaints), 'Send me a link')}`,
  );
}

/** The end of a way; `next` is HTML. */
export function donePage(title: string, text: string, next = ''): string {
  return page(title, `<p role="status">${html(text)}</p>${next}`);
}

/** A link that opens nothing; `next` is HTML. */
export function deadLinkPage(text: string, next = ''): string {
  return page('This link does not work', `<p role="alert">${html(text)}</p>${next}`);
}
