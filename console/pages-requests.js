/** Requests as they end: filtered, bounded, as the access log has them. The filter is in the address. */

import { call, stream } from './api.js';
import { clock, html, number, query, setQuery, Table } from './ui.js';
import { useEffect, useRef, useState } from './vendor/hooks.js';

const MOST_KEPT = 500;
const MOST_SHOWN = 100;
const STATUSES = [
  ['', 'any'],
  ['errors', 'errors (400 and above)'],
  ['2xx', '2xx'],
  ['3xx', '3xx'],
  ['4xx', '4xx'],
  ['5xx', '5xx'],
];

export function RequestsPage() {
  const [wish, setWish] = useState(() => query());
  const [requests, setRequests] = useState([]);
  const [dropped, setDropped] = useState(0);
  const [isPaused, setPaused] = useState(false);
  const [isConnected, setConnected] = useState(false);
  const [routes, setRoutes] = useState([]);
  const [opened, setOpened] = useState(null);
  const paused = useRef(false);
  const nextKey = useRef(0);
  paused.current = isPaused;

  useEffect(() => {
    void call('GET', '/routes').then(
      ({ routes: found }) => setRoutes(found.map(({ id }) => id)),
      () => {},
    );
  }, []);
  useEffect(() => {
    setRequests([]);
    setDropped(0);
    const take = (batch) => {
      setDropped((before) => before + batch.dropped);
      if (paused.current) return;
      const more = batch.requests.map((request) => ({ ...request, key: nextKey.current++ })).reverse();
      setRequests((before) => [...more, ...before].slice(0, MOST_KEPT));
    };
    const wanted = new URLSearchParams(Object.entries(wish).filter(([, value]) => value !== ''));
    return stream(`/requests/stream?${wanted}`, 'requests', take, setConnected);
  }, [wish.route, wish.status, wish.text]);

  const submit = (event) => {
    event.preventDefault();
    const next = Object.fromEntries(new FormData(event.currentTarget));
    setQuery(next);
    setWish(next);
  };
  const shown = requests.slice(0, MOST_SHOWN);
  return html`<h1>Requests</h1>
    <form onSubmit=${submit} key=${JSON.stringify(wish)}>
      <label class="wide">Route<input name="route" list="routes" defaultValue=${wish.route ?? ''} placeholder="all" autocomplete="off" /></label>
      <datalist id="routes">${routes.map((id) => html`<option value=${id}></option>`)}</datalist>
      <label>Status<select name="status">${STATUSES.map(([value, text]) => html`<option value=${value} selected=${value === (wish.status ?? '')}>${text}</option>`)}</select></label>
      <label class="wide">Record contains<input name="text" defaultValue=${wish.text ?? ''} placeholder="path, address, request id" autocomplete="off" /></label>
      <button class="main">Watch</button>
      <button type="button" aria-pressed=${isPaused} onClick=${() => setPaused(!isPaused)}>${isPaused ? 'Go on' : 'Pause'}</button>
    </form>
    <p class="soft" role="status">${isConnected ? (isPaused ? 'Paused.' : 'Watching.') : 'Connecting …'}${requests.length > MOST_SHOWN ? ` The newest ${MOST_SHOWN} are shown.` : ''}</p>
    ${dropped > 0 && html`<p class="warning">${number(dropped)} more came than can be shown. A filter shows fewer, and all of them.</p>`}
    <${Table} caption="Requests, newest first" head=${['Time', 'Status', 'Request', 'Route', 'Took, ms', 'From']}
      empty="Nothing yet: requests appear here when they end."
      rows=${shown.map((request) => html`<${Row} key=${request.key} request=${request} isOpen=${opened === request.key} toggle=${() => setOpened(opened === request.key ? null : request.key)} />`)} />`;
}

/** Of gRPC: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const FAILED_CALLS = [2, 4, 12, 13, 14, 15];

function toneOf({ status, grpc_status: call }) {
  if (call === undefined) return status >= 500 ? 'error' : status >= 400 ? 'warning' : 'good';
  return call === 0 ? 'good' : FAILED_CALLS.includes(call) ? 'error' : 'warning';
}

function Row({ request, isOpen, toggle }) {
  const { key, ...fields } = request;
  const tone = toneOf(fields);
  return html`<tr><td>${clock(fields.time)}</td><td class=${tone}>${fields.grpc_status === undefined ? fields.status : `gRPC ${fields.grpc_status}`}</td>
      <td class="break"><button class="link" type="button" aria-expanded=${isOpen} onClick=${toggle}>${fields.method ? `${fields.method} ${fields.path}` : 'refused before it was a request'}</button></td>
      <td class="break">${fields.route ?? ''}</td><td>${number(fields.duration_ms)}</td><td>${fields.address}</td></tr>
    ${
      isOpen &&
      html`<tr><td colspan="6"><dl class="fields">${Object.entries(fields).map(
        ([name, value]) => html`<div><dt>${name}</dt><dd>${String(value)}</dd></div>`,
      )}</dl></td></tr>`
    }`;
}
