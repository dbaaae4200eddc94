/**
 * One account: blocked, given another plan; its quotas, its sessions and how they end, its API keys made, rotated,
 * revoked.
 */

import { call } from './api.js';
import { useAction, useFeature } from './pages-limits.js';
import { Card, Dialog, html, Message, may, number, Table, time } from './ui.js';
import { useState } from './vendor/hooks.js';

export const USERS = '/features/identity/users';

export function nameOf({ email, username, displayName, id }) {
  return email ?? username ?? displayName ?? id;
}

const languageName = (language) => new Intl.DisplayNames(['en'], { type: 'language' }).of(language) ?? language;

export function Account({ id, back }) {
  const path = `${USERS}/${encodeURIComponent(id)}`;
  const account = useFeature(path);
  const { message, act } = useAction(account.read);
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
  const setLanguage = ({ currentTarget: { value } }) =>
    patch({ language: value || null }, `Emails are in ${languageName(value || user.languages[0])}.`);
  return html`<h1 class="break">${nameOf(user)}</h1>${goBack}
    <${Message} error=${message.error || account.error} done=${message.done} />
    <${Card} title="Account" id="account">
      <dl class="fields">
        <div><dt>Status</dt><dd class=${isActive ? 'good' : 'error'}>${user.status}${user.disabledReason ? `: ${user.disabledReason}` : ''}</dd></div>
        <div><dt>Kind</dt><dd>${user.kind}</dd></div>
        <div><dt>Address</dt><dd>${user.email ?? '–'}${user.email !== null && !user.emailVerified ? ' (not verified)' : ''}</dd></div>
        <div><dt>User name</dt><dd>${user.username ?? '–'}</dd></div>
        <div><dt>Plan</dt><dd>${user.plan}</dd></div>
        <div><dt>Emails in</dt><dd>${user.language === null ? `${languageName(user.languages[0])}, the default` : languageName(user.language)}</dd></div>
        <div><dt>Roles</dt><dd>${user.roles.join(', ') || '–'}</dd></div>
        <div><dt>Id</dt><dd>${user.id}</dd></div>
        <div><dt>Made</dt><dd>${time(user.createdAt)}</dd></div>
      </dl>
      ${
        may('admin') &&
        html`<form onSubmit=${setPlan}>
        <label>Plan<input name="plan" required maxlength="64" defaultValue=${user.plan} autocomplete="off" /></label>
        <button>Set plan</button>
        <label>Language of emails<select value=${user.language ?? ''} onChange=${setLanguage}>
          <option value="">default</option>${user.languages.map((each) => html`<option value=${each}>${languageName(each)}</option>`)}
        </select></label>
        <button type="button" onClick=${() => patch({ status: isActive ? 'disabled' : 'active' }, isActive ? 'The account is blocked; its sessions are over.' : 'The account may sign in again.')}>${isActive ? 'Block' : 'Let in again'}</button>
      </form>`
      }
    <//>
    <${Quotas} user=${user} />
    <${Sessions} path=${`${path}/sessions`} />
    <${Keys} path=${`${path}/keys`} user=${user} />`;
}

/** Nothing where no quotas are in use. */
function Quotas({ user: { id, plan } }) {
  const { found, isOff } = useFeature(`/features/limits/usage?${new URLSearchParams({ account: id, plan })}`);
  if (isOff || found === null || found.quotas.length === 0) return null;
  return html`<${Card} title="Quotas" id="quotas">
    <${Table} caption="Quotas of the account" head=${['Quota', 'Period', 'Used', 'Left', 'Ends']} empty=""
      rows=${found.quotas.map(({ quota, period, used, limit, remaining, end }) => {
        const left =
          limit === null
            ? 'unlimited'
            : html`<meter min="0" max=${limit} value=${remaining} aria-label=${`Left of ${quota}`}></meter> ${number(remaining)} of ${number(limit)}`;
        return html`<tr key=${quota}><td class="break">${quota}</td><td>${period}</td><td>${number(used)}</td><td class=${remaining === 0 ? 'error' : ''}>${left}</td><td>${time(end)}</td></tr>`;
      })} />
  <//>`;
}

function Sessions({ path }) {
  const { found, error, read } = useFeature(path);
  const { message, act } = useAction(read);
  const open = found?.sessions ?? [];
  return html`<${Card} title="Sessions" id="sessions">
    <${Message} error=${message.error || error} done=${message.done} />
    ${may('admin') && open.length > 0 && html`<p><button type="button" onClick=${() => act(() => call('DELETE', path), 'All sessions are over.')}>End all</button></p>`}
    <${Table} caption="Open sessions" head=${['Device', 'From', 'Seen last', 'Ends', 'Actions']} empty=${found === null ? 'Reading the gateway …' : 'No user is signed in.'}
      rows=${open.map(
        (
          each,
        ) => html`<tr key=${each.id}><td class="break">${each.device || 'unknown'}</td><td>${each.address}${each.place ? `, ${each.place}` : ''}</td><td>${time(each.lastSeenAt)}</td><td>${time(each.expiresAt)}</td>
        <td>${may('admin') && html`<button type="button" aria-label=${`End the session of ${each.device || 'an unknown device'}`} onClick=${() => act(() => call('DELETE', `${path}/${encodeURIComponent(each.id)}`), 'The session is over.')}>End</button>`}</td></tr>`,
      )} />
  <//>`;
}

const DAY_SECONDS = 86_400;
const LIVES = [
  [90 * DAY_SECONDS, '90 days'],
  [30 * DAY_SECONDS, '30 days'],
  [365 * DAY_SECONDS, '1 year'],
  ['', 'until revoked'],
];
const GRACES = [
  [0, 'not at all'],
  [3_600, '1 hour'],
  [DAY_SECONDS, '1 day'],
  [7 * DAY_SECONDS, '7 days'],
];
const options = (all) => all.map(([value, text]) => html`<option value=${value}>${text}</option>`);

function Keys({ path, user }) {
  const { found, error, read } = useFeature(path);
  const { message, act } = useAction(read);
  const [made, setMade] = useState(null);
  const show = async (work) => {
    setMade(await work);
    await read();
  };
  const make = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const { name, scopes, life } = Object.fromEntries(new FormData(form));
    const body = {
      name,
      scopes: scopes.split(/[\s,]+/).filter(Boolean),
      expiresIn: life === '' ? null : Number(life),
    };
    if (await act(() => show(call('POST', path, body)), 'The key is made.')) form.reset();
  };
  const of = (each) => `/features/identity/keys/${encodeURIComponent(each.id)}`;
  const revoke = (each) => act(() => call('DELETE', of(each)), 'The key is revoked.');
  const isOver = (each) =>
    each.revokedAt !== null || (each.expiresAt !== null && new Date(each.expiresAt).getTime() <= Date.now());
  const state = (each) => {
    if (each.revokedAt !== null) return html`<span class="error">revoked</span>`;
    if (isOver(each)) return html`<span class="soft">over</span>`;
    return each.expiresAt === null ? 'holds' : `until ${time(each.expiresAt)}`;
  };
  const actions = (
    each,
  ) => html`<${Dialog} label="Rotate" name=${`Rotate the key ${each.name || each.id}`} title="Make another key in its place?"
        act=${({ grace }) => show(call('POST', `${of(each)}/rotate`, { graceSeconds: Number(grace) }))}>
        <label>The old one goes on<select name="grace">${options(GRACES)}</select></label>
      <//>
      <button type="button" aria-label=${`Revoke the key ${each.name || each.id}`} onClick=${() => revoke(each)}>Revoke</button>`;
  return html`<${Card} title="API keys" id="keys">
    <${Message} error=${message.error || error} done=${message.done} />
    ${made && html`<${Made} made=${made} done=${() => setMade(null)} />`}
    ${
      may('admin') &&
      user.kind !== 'child' &&
      html`<form onSubmit=${make}>
      <label class="wide">What it is for<input name="name" required maxlength="100" autocomplete="off" /></label>
      <label class="wide">Scopes, of those of the account<input name="scopes" maxlength="2000" autocomplete="off" spellcheck="false" placeholder=${user.scopes.join(' ')} /></label>
      <label>How long<select name="life">${options(LIVES)}</select></label>
      <button>Make a key</button>
    </form>`
    }
    <${Table} caption="Keys of the account" head=${['Key', 'Scopes', 'Used last', 'State', 'Actions']} empty=${found === null ? 'Reading the gateway …' : 'It has no keys.'}
      rows=${(found?.keys ?? []).map(
        (
          each,
        ) => html`<tr key=${each.id}><td class="break">${each.name || each.id}</td><td class="break">${each.scopes.join(' ')}</td><td>${each.lastUsedAt === null ? 'never' : time(each.lastUsedAt)}</td>
        <td>${state(each)}</td><td>${!isOver(each) && may('admin') && actions(each)}</td></tr>`,
      )} />
  <//>`;
}

/** The text of a key is in this response and nowhere else. */
function Made({ made, done }) {
  return html`<div role="status" class="notice">
    <p><strong>${made.name}</strong>: copy the key now, it is shown only once.</p>
    <pre tabindex="0" aria-label="Text of the key">${made.key}</pre>
    <p><button type="button" onClick=${done}>I have it</button></p>
  </div>`;
}
