/**
 * Services with their instances: balance, health, breakers; what operators do by hand: drain, weigh, add, take out,
 * hold a breaker open. Of long lists a part is shown; the rest by search or on demand. What is searched is in the
 * address.
 */

import { call } from './api.js';
import { InstanceRates } from './instance-rates.js';
import { followInto } from './live.js';
import { Ask, Card, html, Message, More, may, number, query, Search, STEP, setQuery, Table, until } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';

const services = signal(null);
const EVERY_MS = 2_000;
const rates = new InstanceRates();

export function ServicesPage() {
  const [q, setWanted] = useState(() => query().q ?? '');
  const [limit, setLimit] = useState(STEP);
  const [error, setError] = useState('');
  const path = `/services?${new URLSearchParams({ q, limit })}`;
  useEffect(() => followInto(path, services, EVERY_MS), [path]);
  if (services.value === null) return html`<h1>Services</h1><p class="soft">Reading the gateway …</p>`;
  rates.take(services.value);
  const { services: found, total, matching } = services.value;
  const after = async (work) => {
    try {
      await work;
      setError('');
    } catch (failure) {
      setError(failure.message);
      throw failure;
    } finally {
      services.value = await call('GET', path);
    }
  };
  const search = (text) => {
    setQuery({ q: text });
    setWanted(text);
    setLimit(STEP);
  };
  // Of what has come, not of what was asked for last.
  const shown = found.reduce((sum, { instances }) => sum + instances.length, 0);
  const isCut = matching > found.length || found.some((each) => each.matching > each.instances.length);
  return html`<h1>Services</h1>
    <${Message} error=${error} />
    ${
      total === 0
        ? html`<p class="plain">No services are configured. Add one under <code>services</code> in the configuration.</p>`
        : html`<${Search} label="Service or instance" value=${q} search=${search} />
    <p class="soft" role="status">${matching} of ${total} services${isCut ? `, the first ${shown} instances are shown` : ''}</p>`
    }
    ${found.map((service) => html`<${Service} key=${service.name} service=${service} after=${after} />`)}
    ${total > 0 && matching === 0 && html`<p class="plain">No service and no instance has “${q}”.</p>`}
    ${isCut && html`<${More} more=${() => setLimit(limit + STEP)} />`}`;
}

function Service({ service, after }) {
  const { name, breaker, byHand } = service;
  const tone = service.status === 'running' ? 'good' : service.status === 'degraded' ? 'warning' : 'error';
  const held = byHand.find(({ kind, target }) => kind === 'breaker' && target === name);
  const removed = byHand.filter(({ kind }) => kind === 'removed');
  const shown = service.instances.length;
  return html`<${Card} title=${name} id=${`service-${name}`}>
    <p><span class=${tone}>${service.status}</span>, ${service.algorithm}, ${number(service.inFlight)} in flight${service.waiting > 0 ? `, ${number(service.waiting)} waiting` : ''}
      ${breaker === null ? '' : `, breaker ${breaker.state} (${number(breaker.errors)} errors of ${number(breaker.requests)})`}</p>
    ${held && html`<p class="warning">Breaker held open ${byWhom(held)}</p>`}
    ${(may('admin') || (breaker !== null && may('operator'))) && html`<p class="buttons"><${ServiceActions} service=${service} after=${after} /></p>`}
    <${Table} most=${Infinity} caption=${`Instances of ${name}`} head=${['Instance', 'State', 'Requests/s', 'Share, %', 'Errors, %', 'Mean, ms', 'In flight', 'Weight', 'Actions']} empty=${service.total > 0 ? 'More instances: see below.' : 'It has no instances: see its discovery, or add one.'}
      rows=${service.instances.map((instance) => html`<${Instance} key=${instance.id} instance=${instance} byHand=${byHand} after=${after} />`)} />
    ${shown > 0 && shown < service.total && html`<p class="soft">${shown} of ${number(service.total)} instances</p>`}
    ${removed.map((each) => html`<${Removed} key=${each.target} override=${each} after=${after} />`)}
    ${service.discovery.map(({ source, instances, problem }) => html`<p class=${problem === null ? 'soft' : 'warning'}>Discovery by ${source}: ${problem ?? `${number(instances)} instances`}</p>`)}
  <//>`;
}

function ServiceActions({ service: { name, breaker }, after }) {
  const path = `/breakers/${encodeURIComponent(name)}`;
  const add = ({ url, weight, ...more }) =>
    after(call('PUT', `/services/${encodeURIComponent(name)}/instances`, { url, weight: Number(weight), ...more }));
  return html`${
    breaker !== null &&
    may('operator') &&
    html`<${Ask} label="Open breaker" title=${`Refuse all requests for ${name}?`} name=${`Open breaker of ${name}`} endless=${false} act=${(more) => after(call('PUT', `${path}/open`, more))} />
      <button type="button" aria-label=${`Reset breaker of ${name}`} onClick=${() => after(call('POST', `${path}/reset`)).catch(() => {})}>Reset breaker</button>`
  }
    ${
      may('admin') &&
      html`<${Ask} label="Add instance" title=${`Add an instance to ${name}`} name=${`Add instance to ${name}`} act=${add}>
      <label class="wide">URL<input name="url" required maxlength="2048" placeholder="http://10.0.0.7:4001" autocomplete="off" /></label>
      <label>Weight<input name="weight" type="number" min="0" max="65535" step="any" value="1" required /></label>
    <//>`
    }`;
}

function Instance({ instance, byHand, after }) {
  const { id, url } = instance;
  const path = `/instances/${encodeURIComponent(id)}`;
  const [state, tone] = stateOf(instance);
  const { perSecond, share, errors, meanMs } = rates.of(id);
  const own = byHand.filter(({ target }) => target === id);
  const isAdded = own.some(({ kind }) => kind === 'added');
  const isWeighed = own.some(({ kind }) => kind === 'weight');
  const end = (what) => () => after(call('DELETE', `${path}/${what}`)).catch(() => {});
  return html`<tr><td class="break">${url}</td><td><span class=${tone}>${state}</span>${own.map((each) => html`<br /><span class="soft">${WORDS[each.kind]} ${byWhom(each)}</span>`)}</td>
    <td>${number(perSecond)}</td><td>${number(share)}</td><td class=${errors > 0 ? 'warning' : ''}>${number(errors)}</td><td>${number(meanMs)}</td>
    <td>${number(instance.inFlight)}</td><td>${instance.weight}</td>
    <td>${
      may('operator') &&
      html`<span class="buttons">${
        instance.draining
          ? html`<button type="button" aria-label=${`Take traffic again: ${url}`} onClick=${end('drain')}>Take traffic again</button>`
          : html`<${Ask} label="Drain" title=${`Drain ${url}?`} name=${`Drain ${url}`} act=${(more) => after(call('PUT', `${path}/drain`, more))} />`
      }
      ${
        isWeighed
          ? html`<button type="button" aria-label=${`Configured weight for ${url}`} onClick=${end('weight')}>Configured weight</button>`
          : html`<${Ask} label="Set weight" title=${`Another weight for ${url}`} name=${`Set weight of ${url}`} act=${({ weight, ...more }) => after(call('PUT', `${path}/weight`, { weight: Number(weight), ...more }))}>
          <label>Weight, 0 is standby<input name="weight" type="number" min="0" max="65535" step="any" value=${instance.weight} required /></label><//>`
      }
      ${
        isAdded
          ? html`<button type="button" aria-label=${`Remove ${url}, which was added by hand`} onClick=${end('added')}>Remove</button>`
          : html`<${Ask} label="Take out" title=${`Take ${url} out?`} name=${`Take out ${url}`} act=${(more) => after(call('PUT', `${path}/removed`, more))} />`
      }</span>`
    }</td></tr>`;
}

function Removed({ override, after }) {
  const { target, instance } = override;
  const back = () => after(call('DELETE', `/instances/${encodeURIComponent(target)}/removed`)).catch(() => {});
  return html`<p class="warning break">${instance.url} is taken out ${byWhom(override)}
    ${may('operator') && html` <button type="button" aria-label=${`Put back ${instance.url}`} onClick=${back}>Put back</button>`}</p>`;
}

const WORDS = {
  drain: 'drained',
  added: 'added',
  weight: 'weighed',
  breaker: 'breaker held open',
  removed: 'taken out',
};

function byWhom({ owner, until: end, reason }) {
  return `by ${owner}, ${end === null ? 'until ended' : `ends ${until(end)}`}: ${reason}`;
}

function stateOf(instance) {
  const { breaker, healthCheck } = instance;
  if (instance.draining) return [instance.inFlight === 0 ? 'drained' : 'draining', 'soft'];
  if (!instance.healthy) return [`down: ${healthCheck?.reason ?? 'by configuration'}`, 'error'];
  if (instance.ejected) return ['ejected', 'warning'];
  if (breaker !== null && breaker.state !== 'closed') return [`breaker ${breaker.state}`, 'warning'];
  return ['up', 'good'];
}
