/**
 * Limits and bans: who is banned, until when and why; banned by hand, lifted. And the cache: what it holds, and purges.
 */

import { ApiError, call } from './api.js';
import { follow } from './live.js';
import { Card, html, Message, may, number, Table, until } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';

const EVERY_MS = 6_000;

/** What a feature's API says, as it changes; `isOff` when it is not in use. */
export function useFeature(path) {
  const [state, setState] = useState({ found: null, isOff: false, error: '' });
  const take = ({ status, body }) => {
    if (status === 200) setState({ found: body, isOff: false, error: '' });
    else {
      const isOff = status === 404;
      setState((before) => ({ ...before, isOff, error: isOff ? '' : new ApiError(status, body).message }));
    }
  };
  const read = () =>
    call('GET', path).then(
      (body) => take({ status: 200, body }),
      (failure) => {
        if (failure instanceof ApiError) take(failure);
        else setState((before) => ({ ...before, error: failure.message }));
      },
    );
  useEffect(() => follow(path, take, EVERY_MS), [path]);
  return { ...state, read };
}

/** Runs what a button or a form does, and says how it went. */
export function useAction(read) {
  const [message, setMessage] = useState({});
  const act = async (work, done) => {
    try {
      await work();
      setMessage({ done });
      await read();
      return true;
    } catch (failure) {
      setMessage({ error: failure.message });
      return false;
    }
  };
  return { message, act };
}

const KINDS = [
  ['address', 'Address or block'],
  ['user', 'User'],
  ['key', 'API key'],
];
const TIMES = [
  ['1h', '1 hour'],
  ['1d', '1 day'],
  ['7d', '7 days'],
  ['ever', 'until lifted'],
];

export function BansPage() {
  const { found, isOff, error, read } = useFeature('/features/limits/bans');
  const { message, act } = useAction(read);
  const ban = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const { reason, ...rest } = Object.fromEntries(new FormData(form));
    const body = reason === '' ? rest : { ...rest, reason };
    if (await act(() => call('POST', '/features/limits/bans', body), `${rest.subject} is banned.`)) form.reset();
  };
  if (isOff)
    return html`<h1>Bans</h1><p class="plain">Limits are not in use. Add <code>abuse: {}</code> to the configuration: then addresses, users and keys can be banned here, and rules can ban by themselves.</p>`;
  return html`<h1>Bans</h1>
    <${Message} error=${error || message.error} done=${message.done} />
    ${
      may('operator') &&
      html`<${Card} title="Ban" id="ban">
      <form onSubmit=${ban}>
        <label>What<select name="kind">${KINDS.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></label>
        <label class="wide">Who<input name="subject" required maxlength="256" placeholder="203.0.113.7 or 203.0.113.0/24" autocomplete="off" /></label>
        <label class="wide">Why<input name="reason" maxlength="500" autocomplete="off" /></label>
        <label>How long<select name="for">${TIMES.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></label>
        <button class="main">Ban</button>
      </form>
    <//>`
    }
    <${Card} title="Active bans" id="bans">
      ${
        found === null
          ? html`<p class="soft">Reading the gateway …</p>`
          : html`<${Table} caption="Bans" head=${['Who', 'Why', 'By', 'Ends', 'Actions']} empty="Nobody is banned."
        rows=${found.bans.map(
          (
            each,
          ) => html`<tr key=${each.id}><td class="break">${each.kind} <strong>${each.subject}</strong></td><td class="break">${each.reason}</td>
          <td class="break">${each.made_by}</td><td>${until(each.ends_at)}</td>
          <td>${may('operator') && html`<button type="button" aria-label=${`Lift the ban of ${each.subject}`} onClick=${() => act(() => call('DELETE', `/features/limits/bans/${encodeURIComponent(each.id)}`), `The ban of ${each.subject} is lifted.`)}>Lift</button>`}</td></tr>`,
        )} />`
      }
    <//>`;
}

const WAYS = [
  ['prefix', 'All below a URL'],
  ['url', 'One URL'],
  ['tag', 'A tag'],
  ['all', 'Everything'],
];

export function CachePage() {
  const { found, isOff, error, read } = useFeature('/features/cache');
  const { message, act } = useAction(read);
  const [way, setWay] = useState('prefix');
  const purge = async (event) => {
    event.preventDefault();
    const value = new FormData(event.currentTarget).get('value');
    const body = way === 'all' ? { all: true } : { [way]: value };
    await act(
      () => call('POST', '/features/cache/purge', body),
      way === 'all' ? 'The cache is empty.' : `${value} is purged.`,
    );
  };
  if (isOff)
    return html`<h1>Cache</h1><p class="plain">No route has a cache. Add <code>cache: {}</code> to a route, a service or the gateway.</p>`;
  if (found === null) return html`<h1>Cache</h1><${Message} error=${error} /><p class="soft">Reading the gateway …</p>`;
  const results = Object.entries(found.results).filter(([, count]) => count > 0);
  return html`<h1>Cache</h1>
    <${Message} error=${error || message.error} done=${message.done} />
    <${Card} title="What it saves" id="cache">
      <dl class="numbers">
        <div><dt>Served from the cache</dt><dd>${number(found.hitShare * 100)} %</dd></div>
        <div><dt>Requests</dt><dd>${number(found.requests)}</dd></div>
        <div><dt>Objects</dt><dd>${number(found.objects)}</dd></div>
        <div><dt>Used, MB</dt><dd>${number(found.used_bytes / 1e6)} of ${number(found.total_bytes / 1e6)}</dd></div>
        <div><dt>Evicted</dt><dd>${number(found.evictions)}</dd></div>
      </dl>
      <p class="soft">${results.length === 0 ? 'No request has asked it since the gateway started.' : results.map(([name, count]) => `${name} ${number(count)}`).join(', ')}</p>
    <//>
    ${
      may('operator') &&
      html`<${Card} title="Purge" id="purge">
      <form onSubmit=${purge}>
        <label>What<select value=${way} onChange=${(event) => setWay(event.currentTarget.value)}>${WAYS.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></label>
        ${way !== 'all' && html`<label class="wide">${way === 'tag' ? 'Tag' : 'URL'}<input name="value" type=${way === 'tag' ? 'text' : 'url'} required placeholder=${way === 'tag' ? 'product-7' : 'https://api.example.com/notes/'} autocomplete="off" /></label>`}
        <button class="main">Purge</button>
      </form>
    <//>`
    }
    <${Objects} title="Most used" id="used" objects=${found.most_used} />
    <${Objects} title="Largest" id="largest" objects=${found.largest} />`;
}

function Objects({ title, id, objects }) {
  return html`<${Card} title=${title} id=${id}>
    <${Table} caption=${`${title} objects`} head=${['Object', 'Bytes', 'Used', 'Age, s', 'Fresh for, s']} empty="Nothing is stored."
      rows=${objects.map(
        (
          each,
        ) => html`<tr key=${each.key}><td class="break">${each.key}</td><td>${number(each.bytes)}</td><td>${number(each.hits)}</td>
        <td>${number(each.ageSeconds)}</td><td>${each.freshSeconds > 0 ? number(each.freshSeconds) : 'stale'}</td></tr>`,
      )} />
  <//>`;
}
