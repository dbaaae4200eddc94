/**
 * The limits of one caller: how much is left of each, and forgetting what was counted. Who is meant is in the address.
 */

import { ApiError, call } from './api.js';
import { follow } from './live.js';
import { Ask, ago, Card, html, Message, may, number, query, setQuery, Table } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';

const EVERY_MS = 2_000;
const FIELDS = [
  ['address', 'Address', '203.0.113.7'],
  ['user', 'User', 'id or subject'],
  ['apiKey', 'API key', 'id of the key'],
  ['plan', 'Plan', 'default'],
  ['route', 'Route', 'all'],
];

export function LimitsPage() {
  const [wish, setWish] = useState(() => query());
  const [limits, setLimits] = useState(null);
  const [message, setMessage] = useState({});
  const isAsked = Boolean(wish.address || wish.user || wish.apiKey);
  const caller = () => Object.fromEntries(FIELDS.map(([name]) => [name, wish[name]]).filter(([, value]) => value));
  const take = ({ status, body }) => {
    if (status !== 200) setMessage({ error: new ApiError(status, body).message });
    else {
      setLimits(body.limits);
      setMessage((before) => (before.error ? {} : before));
    }
  };
  const path = `/limits?${new URLSearchParams(caller())}`;
  useEffect(() => (isAsked ? follow(path, take, EVERY_MS) : undefined), [path, isAsked]);
  const submit = (event) => {
    event.preventDefault();
    const next = Object.fromEntries(new FormData(event.currentTarget));
    setQuery(next);
    setLimits(null);
    setMessage({});
    setWish(next);
  };
  const reset = async ({ reason }) => {
    const found = await call('POST', '/limits/reset', { ...caller(), reason });
    setLimits(found.limits);
    setMessage({ done: 'What was counted is forgotten.' });
  };
  return html`<h1>Limits</h1>
    <${Card} title="Caller" id="whose">
      <form onSubmit=${submit} key=${JSON.stringify(wish)}>
        ${FIELDS.map(([name, text, example]) => html`<label class="wide">${text}<input name=${name} defaultValue=${wish[name] ?? ''} placeholder=${example} maxlength="300" autocomplete="off" /></label>`)}
        <button class="main">Look up</button>
      </form>
    <//>
    <${Message} ...${message} />
    ${
      isAsked
        ? html`<${Card} title="Limits now" id="stand">
      ${
        limits === null
          ? html`<p class="soft">Reading the gateway …</p>`
          : html`<${Table} caption="Limits of this caller" head=${['Counts by', 'Limit', 'Left', 'Now', 'Routes']} empty="No limit counts this caller."
        rows=${limits.map(
          (
            each,
          ) => html`<tr><td>${each.by}${each.plan === null ? '' : ` (plan ${each.plan})`}</td><td>${each.limit}</td>
          <td><meter min="0" max=${each.max} value=${each.remaining} aria-label=${`Left of ${each.limit} by ${each.by}`}></meter> ${number(each.remaining)}</td>
          <td class=${each.retryMs > 0 ? 'error' : 'good'}>${each.retryMs > 0 ? `refused for ${ago(each.retryMs)}` : each.resetMs > 0 ? `all of it again in ${ago(each.resetMs)}` : 'unused'}</td>
          <td class="break">${each.routes.join(', ')}</td></tr>`,
        )} />`
      }
      ${may('operator') && limits !== null && limits.length > 0 && html`<p><${Ask} label="Forget what was counted" title="Forget what was counted?" timed=${false} act=${reset} /></p>`}
    <//>`
        : html`<p class="soft">Name an address, a user or an API key: their limits appear here, with what is left of each.</p>`
    }`;
}
