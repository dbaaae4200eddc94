/** Routes (search, and which one takes a request), and services with their instances: balance, health, drain, breakers. */

import { call, poll } from './api.js';
import { TryRequest } from './try-request.js';
import { Ask, Card, html, Message, may, number, Table } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';

const routes = signal(null);
const services = signal(null);
const MOST_SHOWN = 200;

export function RoutesPage() {
  useEffect(() => poll('/routes', routes, 5000), []);
  const [wanted, setWanted] = useState('');
  const all = routes.value?.routes ?? [];
  const found = all.filter((route) =>
    `${route.id} ${pathOf(route)} ${actionOf(route)}`.toLowerCase().includes(wanted.toLowerCase()),
  );
  return html`<h1>Routes</h1>
    <${TryRequest} />
    <${Card} title="All routes" id="all">
      <form onSubmit=${(event) => event.preventDefault()}>
        <label class="wide">Search<input type="search" value=${wanted} onInput=${(event) => setWanted(event.currentTarget.value)} /></label>
      </form>
      <p class="soft" role="status">${found.length} of ${all.length}${found.length > MOST_SHOWN ? `, the first ${MOST_SHOWN} are shown` : ''}</p>
      <${Table} caption="Routes" head=${['Route', 'Takes', 'Does', 'Policies', 'Requests', 'Median, ms', '99 %, ms']} empty="No route has this."
        rows=${found.slice(0, MOST_SHOWN).map(
          (
            route,
          ) => html`<tr key=${route.id}><td class="break">${route.id}</td><td class="break">${pathOf(route)}</td><td>${actionOf(route)}</td>
          <td>${route.policies.join(', ')}</td><td>${number(route.requests)}</td><td>${number(route.p50Ms)}</td><td>${number(route.p99Ms)}</td></tr>`,
        )} />
    <//>`;
}

function pathOf({ match }) {
  const path = match.path.kind === 'pattern' ? match.path.pattern : `~ ${match.path.source}`;
  return `${match.methods.length === 0 ? 'any' : match.methods.join(',')} ${match.hosts.join(',')}${path}`;
}

function actionOf({ action }) {
  return action.kind === 'service' ? action.targets.map(({ service }) => service).join(', ') : action.kind;
}

export function ServicesPage() {
  useEffect(() => poll('/services', services, 2000), []);
  const [error, setError] = useState('');
  if (services.value === null) return html`<h1>Services</h1><p class="soft">Reading the gateway …</p>`;
  const all = services.value.services;
  const after = async (work) => {
    try {
      await work;
      setError('');
    } catch (failure) {
      setError(failure.message);
      throw failure;
    } finally {
      services.value = await call('GET', '/services');
    }
  };
  return html`<h1>Services</h1>
    <${Message} error=${error} />
    ${all.length === 0 && html`<p class="plain">No services are configured. Add one under <code>services</code> in the configuration.</p>`}
    ${all.map((service) => html`<${Service} key=${service.name} service=${service} after=${after} />`)}`;
}

function Service({ service, after }) {
  const { name, breaker } = service;
  const path = `/breakers/${encodeURIComponent(name)}`;
  const tone = service.status === 'running' ? 'good' : service.status === 'degraded' ? 'warning' : 'error';
  return html`<${Card} title=${name} id=${`service-${name}`}>
    <p><span class=${tone}>${service.status}</span>, ${service.algorithm}, ${service.inFlight} in flight${service.waiting > 0 ? `, ${service.waiting} waiting` : ''}
      ${breaker === null ? '' : `, breaker ${breaker.state} (${breaker.errors} errors of ${breaker.requests})`}
      ${
        breaker !== null &&
        may('operator') &&
        html` <${Ask} label="Hold open" title=${`Refuse all requests for ${name}?`} endless=${false} act=${(more) => after(call('PUT', `${path}/open`, more))} />
      <button type="button" onClick=${() => after(call('POST', `${path}/reset`)).catch(() => {})}>Reset</button>`
      }</p>
    <${Table} caption=${`Instances of ${name}`} head=${['Instance', 'State', 'In flight', 'Weight', 'Actions']} empty="It has no instances: see its discovery, or add instances."
      rows=${service.instances.map((instance) => html`<${Instance} key=${instance.id} instance=${instance} after=${after} />`)} />
    ${service.discovery.map(({ source, instances, problem }) => html`<p class=${problem === null ? 'soft' : 'warning'}>Discovery by ${source}: ${problem ?? `${instances} instances`}</p>`)}
  <//>`;
}

function Instance({ instance, after }) {
  const path = `/instances/${encodeURIComponent(instance.id)}/drain`;
  const [state, tone] = stateOf(instance);
  return html`<tr><td class="break">${instance.url}</td><td class=${tone}>${state}</td><td>${instance.inFlight}</td><td>${instance.weight}</td>
    <td>${
      may('operator') &&
      (instance.draining
        ? html`<button type="button" onClick=${() => after(call('DELETE', path)).catch(() => {})}>Take traffic again</button>`
        : html`<${Ask} label="Drain" title=${`Drain ${instance.url}?`} act=${(more) => after(call('PUT', path, more))} />`)
    }</td></tr>`;
}

function stateOf(instance) {
  const { breaker, healthCheck } = instance;
  if (instance.draining) return [instance.inFlight === 0 ? 'drained' : 'draining', 'soft'];
  if (!instance.healthy) return [`down: ${healthCheck?.reason ?? 'by configuration'}`, 'error'];
  if (instance.ejected) return ['ejected', 'warning'];
  if (breaker !== null && breaker.state !== 'closed') return [`breaker ${breaker.state}`, 'warning'];
  return ['up', 'good'];
}
