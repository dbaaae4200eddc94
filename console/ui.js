/** Small parts that all pages use: markup, tables, messages, a dialog that asks for a reason, words for numbers. */

import { me } from './api.js';
import { useEffect, useRef, useState } from './vendor/hooks.js';
import htm from './vendor/htm.js';
import { h } from './vendor/preact.js';

export const html = htm.bind(h);

const ROLES = ['viewer', 'operator', 'admin'];
/** Whether the role is enough; the API decides, this only keeps buttons away that would be refused. */
export function may(role) {
  return ROLES.indexOf(me.value?.role) >= ROLES.indexOf(role);
}

export function Card({ title, children, id }) {
  return html`<section class="card" aria-labelledby=${id}><h2 id=${id}>${title}</h2>${children}</section>`;
}

/** Of a long list so many rows are shown at first, and more with each step. */
export const STEP = 100;

/** `most`: rows that are shown before somebody asks for more. */
export function Table({ caption, head, rows, empty, most = STEP }) {
  const [shown, setShown] = useState(most);
  if (rows.length === 0) return html`<p class="soft">${empty}</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <thead><tr>${head.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
      <tbody>${rows.slice(0, shown)}</tbody>
    </table>
  </div>
  ${rows.length > shown && html`<${More} text=${`${number(shown)} of ${number(rows.length)} are shown.`} more=${() => setShown(shown + STEP)} />`}`;
}

export function More({ text = '', more }) {
  return html`<p><span class="soft">${text}</span> <button type="button" onClick=${more}>Show ${STEP} more</button></p>`;
}

/** The words come to `search` when somebody has stopped typing for a moment. */
export function Search({ label, value, search }) {
  const timer = useRef(0);
  const typed = (event) => {
    const text = event.currentTarget.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(search, 200, text);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<form role="search" onSubmit=${(event) => event.preventDefault()}>
    <label class="wide">${label}<input name="q" type="search" maxlength="300" defaultValue=${value} onInput=${typed} autocomplete="off" /></label>
  </form>`;
}

export function Message({ error, done }) {
  // Messages of the API begin as parts of a sentence.
  if (error) return html`<p class="error" role="alert">${error[0].toUpperCase()}${error.slice(1)}</p>`;
  return html`<p class="good" role="status">${done ?? ''}</p>`;
}

const TIMES = [
  ['600000', '10 minutes'],
  ['3600000', '1 hour'],
  ['86400000', '1 day'],
  ['', 'until I end it'],
];

let openings = 0;

/** A button that opens a form in a dialog. `act` gets what was filled in, by name; a rejection is shown. */
export function Dialog({ label, title, name, act, children }) {
  // Which opening it is; 0 is closed. The end of one must not close the next, which may be quicker than its event.
  const [open, setOpen] = useState(0);
  const [error, setError] = useState('');
  const submit = async (event) => {
    event.preventDefault();
    try {
      await act(Object.fromEntries(new FormData(event.currentTarget)));
      setOpen(0);
    } catch (failure) {
      setError(failure.message);
    }
  };
  const show = (dialog) => {
    if (dialog !== null && !dialog.open) dialog.showModal();
  };
  const begin = () => {
    setError('');
    setOpen(++openings);
  };
  return html`<button type="button" aria-label=${name} onClick=${begin}>${label}</button>
    ${
      open > 0 &&
      html`<dialog key=${open} ref=${show} onClose=${() => setOpen((now) => (now === open ? 0 : now))} aria-label=${title}>
      <h2>${title}</h2>
      <form onSubmit=${submit}>
        ${children}
        <button class="main">${label}</button>
        <button type="button" onClick=${() => setOpen(0)}>Cancel</button>
      </form>
      <${Message} error=${error} />
    </dialog>`
    }`;
}

/** Asks for reason and (if `timed`) time before something is done; `children` are more fields, before these. */
export function Ask({ label, title, name, act, endless = true, timed = true, children }) {
  const done = ({ time, ...given }) => act({ ...given, ...(time ? { forMs: Number(time) } : {}) });
  return html`<${Dialog} label=${label} title=${title} name=${name} act=${done}>
      ${children}
      <label class="wide">Why<input name="reason" required maxlength="200" autocomplete="off" /></label>
      ${
        timed &&
        html`<label>How long<select name="time">
        ${TIMES.filter(([value]) => endless || value !== '').map(([value, text]) => html`<option value=${value}>${text}</option>`)}
      </select></label>`
      }
    <//>`;
}

/** What stands behind `?` in the address of the page. */
export function query() {
  return Object.fromEntries(new URLSearchParams(location.hash.split('?')[1] ?? ''));
}

/** Keeps it there, so that the page can be sent to somebody. */
export function setQuery(values) {
  const text = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== '')).toString();
  history.replaceState(null, '', `${location.hash.split('?')[0]}${text === '' ? '' : `?${text}`}`);
}

export function number(value) {
  if (value === null || value === undefined) return '–';
  return value >= 100 ? Math.round(value).toLocaleString('en') : String(Math.round(value * 100) / 100);
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** When something ends: a time of day, or how many days. */
export function until(time) {
  if (time === null) return 'until lifted';
  const ms = new Date(time).getTime() - Date.now();
  return ms < 0 ? 'over' : `in ${ago(ms)}`;
}

/** Day and time, short. */
export function time(at) {
  return new Date(at).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short', hour12: false });
}

export function clock(time) {
  return new Date(time).toLocaleTimeString('en', { hour12: false });
}
