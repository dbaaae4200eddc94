/**
 * Try a request: which route takes it and why the others do not, then send it and see what it met and how long it took.
 */

import { call } from './api.js';
import { Card, html, Message, may, number, query, setQuery, Table } from './ui.js';
import { useState } from './vendor/hooks.js';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'];
const BODIES = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

export function TryRequest() {
  const [given, setGiven] = useState(() => ({ method: 'GET', url: '', headers: '', ...query() }));
  const [body, setBody] = useState('');
  const [result, setResult] = useState(null);
  const [error, setError] = useState('');
  const [isBusy, setBusy] = useState(false);
  const change = (name) => (event) => setGiven({ ...given, [name]: event.currentTarget.value });
  const ask = async (path, more) => {
    const { method, url } = given;
    const headers = given.headers
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
    setBusy(true);
    try {
      setResult(await call('POST', path, { method, url, headers, ...more }));
      setError('');
      // Fields may hold secrets, which have no place in an address.
      setQuery({ ...query(), method, url });
    } catch (failure) {
      setError(failure.message);
      setResult(null);
    } finally {
      setBusy(false);
    }
  };
  const explain = (event) => {
    event.preventDefault();
    void ask('/routes/explain', {});
  };
  return html`<${Card} title="Try a request" id="try">
    <form onSubmit=${explain}>
      <label>Method<select name="method" value=${given.method} onChange=${change('method')}>${METHODS.map((name) => html`<option>${name}</option>`)}</select></label>
      <label class="wide">Path or URL<input name="url" required value=${given.url} onInput=${change('url')} placeholder="/api/notes/7" /></label>
      <label class="wide">Header fields, one a line<textarea class="short" name="headers" value=${given.headers} onInput=${change('headers')} placeholder="X-API-Version: 2" spellcheck="false"></textarea></label>
      ${BODIES.has(given.method) && html`<label class="wide">Body<textarea class="short" name="body" value=${body} onInput=${(event) => setBody(event.currentTarget.value)} spellcheck="false"></textarea></label>`}
      <button class="main" disabled=${isBusy}>Explain</button>
      ${may('operator') && html`<button type="button" disabled=${isBusy || given.url === ''} onClick=${() => ask('/routes/try', { body: BODIES.has(given.method) ? body : '' })}>Send</button>`}
    </form>
    <${Message} error=${error} />
    ${result && html`<div role="status"><${Verdict} result=${result} />${result.status !== undefined && html`<${Response} tried=${result} />`}<${Considered} result=${result} /></div>`}
  <//>`;
}

function Verdict({ result: { route, refusal } }) {
  if (route === null) return html`<p><strong class="error">${refusal.status}</strong> ${refusal.reason}</p>`;
  const { policies } = route;
  return html`<p><strong class="good">${route.id}</strong> takes it${policies.length > 0 ? `, after ${policies.join(', ')}` : ''}</p>`;
}

function Response({ tried }) {
  const { status, times, record, steps, phases, headers, body, bodyBytes, isCut } = tried;
  const tone = status >= 500 ? 'error' : status >= 400 ? 'warning' : 'good';
  const upstream = record?.upstream_ms;
  return html`<dl class="numbers">
      <div><dt>Status</dt><dd class=${tone}>${status}</dd></div>
      <div><dt>Total, ms</dt><dd>${number(times.endMs)}</dd></div>
      <div><dt>To connect, ms</dt><dd>${number(times.connectMs)}</dd></div>
      <div><dt>To first byte, ms</dt><dd>${number(times.headMs)}</dd></div>
      <div><dt>In the gateway, ms</dt><dd>${record ? number(record.duration_ms - (upstream ?? 0)) : '–'}</dd></div>
      <div><dt>The service, ms</dt><dd>${number(upstream)}</dd></div>
    </dl>
    ${record === null && html`<p class="soft">The gateway's record of it did not come in time: its times are not known.</p>`}
    ${record?.instance && html`<p>${record.service} answered from ${record.instance}${record.attempts > 1 ? ` at attempt ${record.attempts}` : ''}.</p>`}
    ${record?.fault && html`<p class="error">${record.fault}${record.cause ? `: ${record.cause}` : ''}</p>`}
    ${steps === null && html`<p class="soft">The times of its steps did not come in time.</p>`}
    <${Steps} steps=${steps ?? []} phases=${phases} />
    <details><summary>Fields of the response</summary><dl class="fields">${headers.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></details>
    <details open><summary>Body, ${number(bodyBytes)} bytes${isCut ? ', cut' : ''}</summary><pre tabindex="0" aria-label="Body of the response">${body ?? 'It is no text.'}</pre></details>`;
}

/** What it met on its way, with the time that each step took; then policies that did not act. */
function Steps({ steps, phases }) {
  const acted = new Set(steps.map(({ name }) => name));
  const left = phases.flatMap(({ phase, policies }) =>
    policies.filter((name) => !acted.has(name)).map((name) => ({ phase, name })),
  );
  return html`<${Table} caption="Steps on its way" head=${['Step (times in ms)', 'At', 'Took']} most=${Infinity} empty="No policy acts on it."
    rows=${[
      ...steps.map(
        ({ phase, name, startMs, ms, failed }) =>
          html`<tr><td class="break">${phase} <span class="soft">${name || 'the gateway'}</span>${failed && html` <span class="error">${failed}</span>`}</td><td>${number(startMs)}</td><td>${number(ms)}</td></tr>`,
      ),
      ...left.map(
        ({ phase, name }) =>
          html`<tr><td class="break">${phase} <span class="soft">${name}</span></td><td colspan="2" class="soft">did not act</td></tr>`,
      ),
    ]} />`;
}

function Considered({ result }) {
  return html`<${Table} caption="Considered, first to last" head=${['Route', 'Why']} empty="There are no routes."
    rows=${result.considered
      .filter(({ failed }) => failed !== 'host' && failed !== 'path')
      .map(
        ({ id, reason, chosen }) =>
          html`<tr><td class="break">${chosen ? html`<strong>${id}</strong>` : id}</td><td>${reason}</td></tr>`,
      )} />`;
}
