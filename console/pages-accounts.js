/** Accounts and keys: found by name, blocked, given another plan; their sessions ended, their keys revoked. */

import { call } from './api.js';
import { useAction, useFeature } from './pages-limits.js';
import { Card, html, Message, may, query, setQuery, Table, time } from './ui.js';
import { useState } from './vendor/hooks.js';

const USERS = '/features/identity/users';

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
        : html`<${Table} caption="Accounts" head=${['Account', 'Kind', 'Status', 'Plan', 'Signed in last']} empty="No account begins so."
      rows=${found.users.map(
        (
          user,
        ) => html`<tr key=${user.id}><td class="break"><button class="link" type="button" onClick=${() => go({ ...wish, id: user.id })}>${nameOf(user)}</button></td>
        <td>${user.kind}</td><td class=${user.status === 'active' ? 'good' : 'error'}>${user.status}</td><td class="break">${user.plan}</td><td>${user.lastLoginAt === null ? 'never' : time(user.lastLoginAt)}</td></tr>`,
      )} />
    ${found.next && html`<p><button type="button" onClick=${() => go({ ...wish, after: found.next })}>More</button></p>`}`
    }`;
}

function nameOf({ email, username, displayName, id }) {
  return email ?? username ?? displayName ?? id;
}

function Account({ id, back }) {
  const path = `${USERS}/${encodeURIComponent(id)}`;
  const account = useFeature(path);
  const sessions = useFeature(`${path}/sessions`);
  const keys = useFeature(`${path}/keys`);
  const readAll = () => Promise.all([account.read(), sessions.read(), keys.read()]);
  const { message, act } = useAction(readAll);
  const user = account.found;
  const goBack = html`<p><button type="button" onClick=${back}>All accounts</button></p>`;
  if (account.isOff) return html`<h1>Accounts</h1>${goBack}<p class="plain">This account is not there any more.</p>`;
  if (user === null)
    return html`<h1>Accounts</h1>${goBack}<${Message} error=${account.error} /><p class="soft">Reading the gateway …</p>`;
  const isActive = user.status === 'active';
  const patch = (body, done) => act(() => call('PATCH', path, body), done);
  const setPlan = (event) => {
    event.preventDefault();
    const plan = new FormData(event.currentTarget).get('plan');
    void patch({ plan }, `The plan is ${plan}.`);
  };
  const open = sessions.found?.sessions ?? [];
  return html`<h1 class="break">${nameOf(user)}</h1>${goBack}
    <${Message} error=${message.error || account.error} done=${message.done} />
    <${Card} title="Account" id="account">
      <dl class="fields">
        <div><dt>Status</dt><dd class=${isActive ? 'good' : 'error'}>${user.status}${user.disabledReason ? `: ${user.disabledReason}` : ''}</dd></div>
        <div><dt>Kind</dt><dd>${user.kind}</dd></div>
        <div><dt>Address</dt><dd>${user.email ?? '–'}${user.email !== null && !user.emailVerified ? ' (not verified)' : ''}</dd></div>
        <div><dt>User name</dt><dd>${user.username ?? '–'}</dd></div>
        <div><dt>Plan</dt><dd>${user.plan}</dd></div>
        <div><dt>Roles</dt><dd>${user.roles.join(', ') || '–'}</dd></div>
        <div><dt>Id</dt><dd>${user.id}</dd></div>
        <div><dt>Made</dt><dd>${time(user.createdAt)}</dd></div>
      </dl>
      ${
        may('admin') &&
        html`<form onSubmit=${setPlan}>
        <label>Plan<input name="plan" required maxlength="64" defaultValue=${user.plan} autocomplete="off" /></label>
        <button>Set plan</button>
        <button type="button" onClick=${() => patch({ status: isActive ? 'disabled' : 'active' }, isActive ? 'The account is blocked; its sessions are over.' : 'The account may sign in again.')}>${isActive ? 'Block' : 'Let in again'}</button>
      </form>`
      }
    <//>
    <${Card} title="Sessions" id="sessions">
      ${may('admin') && open.length > 0 && html`<p><button type="button" onClick=${() => act(() => call('DELETE', `${path}/sessions`), 'All sessions are over.')}>End all</button></p>`}
      <${Table} caption="Sessions" head=${['Device', 'From', 'Seen last', 'Ends']} empty=${sessions.found === null ? 'Reading the gateway …' : 'Nobody is signed in.'}
        rows=${open.map((each) => html`<tr key=${each.id}><td class="break">${each.device}</td><td>${each.address}${each.place ? `, ${each.place}` : ''}</td><td>${time(each.lastSeenAt)}</td><td>${time(each.expiresAt)}</td></tr>`)} />
    <//>
    <${Card} title="API keys" id="keys">
      <${Table} caption="API keys" head=${['Key', 'Scopes', 'Used last', 'State', 'Actions']} empty=${keys.found === null ? 'Reading the gateway …' : 'It has no keys.'}
        rows=${(keys.found?.keys ?? []).map(
          (
            each,
          ) => html`<tr key=${each.id}><td class="break">${each.name || each.id}</td><td class="break">${each.scopes.join(' ')}</td><td>${each.lastUsedAt === null ? 'never' : time(each.lastUsedAt)}</td>
          <td>${each.revokedAt === null ? (each.expiresAt === null ? 'holds' : `until ${time(each.expiresAt)}`) : html`<span class="error">revoked</span>`}</td>
          <td>${each.revokedAt === null && may('admin') && html`<button type="button" aria-label=${`Revoke the key ${each.name || each.id}`} onClick=${() => act(() => call('DELETE', `/features/identity/keys/${encodeURIComponent(each.id)}`), 'The key is revoked.')}>Revoke</button>`}</td></tr>`,
        )} />
    <//>`;
}
