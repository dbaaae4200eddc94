/** Accounts, found by name; one of them is in account.js. */

import { Account, nameOf, USERS } from './account.js';
import { useFeature } from './pages-limits.js';
import { html, Message, may, query, setQuery, Table, time } from './ui.js';
import { useState } from './vendor/hooks.js';

export function AccountsPage() {
  const [wish, setWish] = useState(() => query());
  const go = (next) => {
    setQuery(next);
    setWish(next);
  };
  if (!may('operator')) return html`<h1>Accounts</h1><p class="plain">This needs the role operator.</p>`;
  return wish.id
    ? html`<${Account} key=${wish.id} id=${wish.id} back=${() => go({ ...wish, id: '' })} />`
    : html`<${List} wish=${wish} go=${go} />`;
}

function List({ wish, go }) {
  const asked = new URLSearchParams({ limit: '50' });
  for (const name of ['q', 'status', 'after']) if (wish[name]) asked.set(name, wish[name]);
  const { found, isOff, error } = useFeature(`${USERS}?${asked}`);
  if (isOff)
    return html`<h1>Accounts</h1><p class="plain">This gateway keeps no accounts. Add <code>identity: { enabled: true }</code> to the configuration.</p>`;
  const submit = (event) => {
    event.preventDefault();
    go({ ...Object.fromEntries(new FormData(event.currentTarget)), after: '', id: '' });
  };
  return html`<h1>Accounts</h1>
    <${Message} error=${error} />
    <form onSubmit=${submit}>
      <label class="wide">Address, user name or id begins with<input name="q" type="search" maxlength="100" defaultValue=${wish.q ?? ''} autocomplete="off" /></label>
      <label>Status<select name="status">${['', 'active', 'disabled'].map((value) => html`<option value=${value} selected=${value === (wish.status ?? '')}>${value === '' ? 'any' : value}</option>`)}</select></label>
      <button class="main">Search</button>
    </form>
    ${
      found === null
        ? html`<p class="soft">Reading the gateway …</p>`
        : html`<${Table} caption="Accounts" head=${['Account', 'Kind', 'Status', 'Plan', 'Last sign-in']} empty="No account begins with that."
      rows=${found.users.map(
        (
          user,
        ) => html`<tr key=${user.id}><td class="break"><button class="link" type="button" onClick=${() => go({ ...wish, id: user.id })}>${nameOf(user)}</button></td>
        <td>${user.kind}</td><td class=${user.status === 'active' ? 'good' : 'error'}>${user.status}</td><td class="break">${user.plan}</td><td>${user.lastLoginAt === null ? 'never' : time(user.lastLoginAt)}</td></tr>`,
      )} />
    ${found.next && html`<p><button type="button" onClick=${() => go({ ...wish, after: found.next })}>More</button></p>`}`
    }`;
}
