/** API pages: where the document of all APIs behind the gateway is read, and what does not fit into it. */

import { call } from './api.js';
import { Card, html, Message, Table } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';

export function ApisPage() {
  const [found, setFound] = useState(null);
  const [error, setError] = useState('');
  useEffect(() => {
    call('GET', '/status?brief=true').then(setFound, (failure) => setError(failure.message));
  }, []);
  if (found === null)
    return html`<h1>API pages</h1><${Message} error=${error} /><p class="soft">Reading the gateway …</p>`;
  const { openapi, listeners } = found;
  if (openapi === null)
    return html`<h1>API pages</h1><p class="plain">This gateway publishes no API document yet. Add <code>openapi: {}</code> to the configuration: then all its APIs are one document, with pages at <code>/docs</code> and <code>/redoc</code>.</p>`;
  const { path, docs, redoc, problems } = openapi;
  const places = [
    ['Try the APIs', docs],
    ['Read about them', redoc],
    ['The document, JSON', path && `${path}.json`],
    ['The document, YAML', path && `${path}.yaml`],
  ].filter(([, at]) => at !== null);
  return html`<h1>API pages</h1>
    <${Card} title="Where they are" id="places">
      <${Table} caption="Pages and documents" head=${['What', 'Where']} empty="All of them are turned off: openapi.path, openapi.docs and openapi.redoc."
        rows=${places.map(([what, at]) => html`<tr key=${at}><td>${what}</td><td class="break">${listeners.map((each) => html`<${Place} key=${each.id} listener=${each} at=${at} />`)}</td></tr>`)} />
      <p class="soft">What somebody reads there depends on who they are: strangers see public routes, administrators all.</p>
    <//>
    <${Card} title="What does not fit" id="problems">
      <${Table} caption="Problems of the document" head=${['Problem']} empty="Nothing: the descriptions of all services fit together, as far as the document was made since the start."
        rows=${problems.map((problem) => html`<tr key=${problem}><td class="break">${problem}</td></tr>`)} />
    <//>`;
}

/** A listener on all addresses is reached by the name that the console is. */
function Place({ listener: { host, port, tls }, at }) {
  const isAny = host === '0.0.0.0' || host === '::';
  const name = isAny ? location.hostname : host.includes(':') ? `[${host}]` : host;
  const url = `${tls ? 'https' : 'http'}://${name}:${port}${at}`;
  return html`<div><a href=${url} target="_blank" rel="noopener">${url}</a></div>`;
}
