/** Changes: what is live, another text tried and applied, the history with differences, and going back. */

import { call } from './api.js';
import { followInto } from './live.js';
import { Card, html, Message, may, Table, time } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';

const history = signal(null);
const EVERY_MS = 6_000;

export function ChangesPage() {
  useEffect(() => followInto('/config/history', history, EVERY_MS), []);
  const [shown, setShown] = useState(null);
  const [message, setMessage] = useState({});
  const live = history.value?.live;
  const again = async () => {
    history.value = await call('GET', '/config/history');
  };
  const compare = async (revision) => {
    try {
      setShown({ revision, trial: await call('GET', `/config/history/${revision}/diff`) });
      setMessage({});
    } catch (failure) {
      setMessage({ error: failure.message });
    }
  };
  const goBack = async (revision) => {
    try {
      await call('POST', '/config/rollback', { revision, reason: `back to revision ${revision}` });
      setShown(null);
      setMessage({ done: `Revision ${revision} is live.` });
      await again();
    } catch (failure) {
      setMessage({ error: failure.message });
    }
  };
  return html`<h1>Changes</h1>
    <${Message} ...${message} />
    ${live?.differsFromSource && html`<p class="plain warning">${live.source} holds another configuration: its next change, or a reload, replaces the live one.</p>`}
    <${Card} title="History" id="history">
      <${Table} caption="Configurations that were live, newest first" head=${['Revision', 'When', 'Who', 'Why', 'Actions']} empty="Nothing is kept yet."
        rows=${(history.value?.revisions ?? []).map(
          ({
            revision,
            at,
            author,
            reason,
            restorable,
          }) => html`<tr key=${revision}><td>${revision}${live?.revision?.revision === revision ? ' (live)' : ''}</td>
          <td>${time(at)}</td><td class="break">${author}</td><td class="break">${reason}</td>
          <td>${restorable && live?.revision?.revision !== revision && html`<button type="button" onClick=${() => compare(revision)}>Compare</button>`}</td></tr>`,
        )} />
      ${
        shown &&
        html`<div role="status"><h2>Going back to revision ${shown.revision} would</h2><${Trial} trial=${shown.trial} />
        ${may('admin') && shown.trial.ok && html`<button class="main" type="button" onClick=${() => goBack(shown.revision)}>Go back to revision ${shown.revision}</button>`}</div>`
      }
    <//>
    ${may('admin') && html`<${Editor} again=${again} />`}`;
}

/** The text with its etag: a change that somebody else made meanwhile is not overwritten. */
function Editor({ again }) {
  const [read, setRead] = useState(null);
  const [text, setText] = useState('');
  const [trial, setTrial] = useState(null);
  const [message, setMessage] = useState({});
  const load = async () => {
    const [config, found] = await Promise.all([call('GET', '/config'), call('GET', '/config/text')]);
    setRead(config);
    setText(found);
    setTrial(null);
    setMessage({});
  };
  const attempt = async (work) => {
    try {
      await work();
    } catch (failure) {
      const problems = failure.body?.problems ?? [];
      setMessage({ error: [failure.message, ...problems].join('\n') });
    }
  };
  const check = () => attempt(async () => setTrial(await call('POST', '/config/check', { text })));
  const apply = () =>
    attempt(async () => {
      await call('PUT', '/config', { text, reason: 'edited in the console' }, { 'if-match': `"${read.etag}"` });
      await load();
      setMessage({ done: 'Written and live.' });
      await again();
    });
  return html`<${Card} title="Edit" id="edit">
    ${
      read === null
        ? html`<button type="button" onClick=${() => attempt(load)}>Read the text</button> <span class="soft">It may hold secrets.</span>`
        : html`<label>Configuration<textarea spellcheck="false" value=${text} onInput=${(event) => setText(event.currentTarget.value)}></textarea></label>
      <p><button type="button" onClick=${check}>Try it</button>${' '}
        <button class="main" type="button" disabled=${!read.writable} onClick=${apply}>Apply</button>${' '}
        <button type="button" onClick=${() => attempt(load)}>Read again</button></p>
      ${!read.writable && html`<p class="soft">Read only: ${read.readOnly ?? 'admin.writable is false, so the file is changed where it is kept'}.</p>`}
      ${trial && html`<div role="status"><${Trial} trial=${trial} /></div>`}`
    }
    <${Message} ...${message} />
  <//>`;
}

function Trial({ trial }) {
  const { problems, difference, restart } = trial;
  const lines = difference === null ? [] : linesOf(difference);
  return html`${problems.map((problem) => html`<p class=${problem.severity}>${problem.line === null ? '' : `line ${problem.line}: `}${problem.key} ${problem.message}</p>`)}
    ${trial.ok && html`<pre>${lines.length === 0 ? 'change nothing' : lines.join('\n')}</pre>`}
    ${restart.length > 0 && html`<p class="warning">Takes effect at the next start only: ${restart.join(', ')}</p>`}`;
}

function linesOf({ listeners, services, routes, reordered, settings, secrets }) {
  const named = (what, { added, removed, changed }) => [
    ...added.map((id) => `+ ${what} ${id}`),
    ...removed.map((id) => `- ${what} ${id}`),
    ...changed.map(({ id, keys }) => `~ ${what} ${id}: ${keys.join(', ')}`),
  ];
  return [
    ...named('listener', listeners),
    ...named('service', services),
    ...named('route', routes),
    ...settings.map((key) => `~ ${key}`),
    ...(reordered ? ['~ the order of routes'] : []),
    ...(secrets ? ['~ the value of a secret'] : []),
  ];
}
