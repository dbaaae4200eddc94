/** Overview (is it healthy, and why not), and events as they happen. */

import { call, points, stream } from './api.js';
import { Chart } from './chart.js';
import { followInto } from './live.js';
import { ago, Card, clock, html, number, Table } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';

const status = signal(null);
const MOST_TROUBLES = 20;
const EVERY_MS = 4_000;

export function Overview() {
  useEffect(() => followInto('/status?brief=true', status, EVERY_MS), []);
  const found = status.value;
  if (found === null) return html`<h1>Overview</h1><p class="soft">Reading the gateway …</p>`;
  const last = points.value.at(-1);
  const { configuration, troubles, traffic } = found;
  return html`<h1>${found.name}: <span class=${found.status === 'healthy' ? 'good' : found.status === 'degraded' ? 'warning' : 'error'}>${found.status}</span></h1>
    <${Card} title="What is wrong now" id="wrong">
      ${
        troubles.length === 0
          ? html`<p class="good">Nothing.</p>`
          : html`<ul class="plainlist" aria-live="polite">${troubles
              .slice(0, MOST_TROUBLES)
              .map(
                ({ severity, subject, message }) =>
                  html`<li><span class=${severity}>${severity}</span> <strong>${subject}</strong> ${message}</li>`,
              )}</ul>`
      }
      ${troubles.length > MOST_TROUBLES && html`<p class="soft">And ${number(troubles.length - MOST_TROUBLES)} more: see <a href="#/services">services</a>.</p>`}
    <//>
    <${Card} title="Traffic" id="traffic">
      <dl class="numbers">
        <div><dt>Requests a second</dt><dd>${number(last?.requestsPerSecond)}</dd></div>
        <div><dt>Errors a second</dt><dd>${number(last?.errorsPerSecond)}</dd></div>
        <div><dt>Median, ms</dt><dd>${number(last?.p50Ms)}</dd></div>
        <div><dt>p99, ms</dt><dd>${number(last?.p99Ms)}</dd></div>
        <div><dt>In flight</dt><dd>${number(last?.inFlight ?? traffic.activeExchanges)}</dd></div>
        <div><dt>Connections</dt><dd>${number(last?.connections ?? traffic.activeConnections)}</dd></div>
        <div><dt>Memory, MB</dt><dd>${number((last?.residentBytes ?? 0) / 1e6)}</dd></div>
        <div><dt>Processors</dt><dd>${number(last?.processors)}</dd></div>
      </dl>
      <${Chart} title="Requests and errors a second" points=${points.value}
        series=${[{ key: 'requestsPerSecond', label: 'requests' }, { key: 'errorsPerSecond', label: 'errors' }]} />
      <${Chart} title="Latency in milliseconds" points=${points.value}
        series=${[{ key: 'p50Ms', label: 'median' }, { key: 'p99Ms', label: '99th percentile' }]} />
    <//>
    <${Objectives} reports=${found.objectives} />
    <${Card} title="This process" id="process">
      <p>${`Version ${found.version}, up ${ago(found.uptimeSeconds * 1000)}, process ${found.pid}, ${found.workers.filter((worker) => worker.listening).length} of ${found.workers.length} workers listen. Configuration ${configuration.revision === null ? configuration.version : `revision ${configuration.revision.revision} by ${configuration.revision.author}`}, from ${configuration.source}.`}</p>
      <p>Listens on ${found.listeners.map(({ host, port, tls }) => `${tls ? 'https' : 'http'}://${host}:${port}`).join(', ')}.</p>
    <//>`;
}

const ALERT_CLASS = { page: 'error', ticket: 'warning' };

/** What was promised, and how much of it may still be missed. */
function Objectives({ reports }) {
  return html`<${Card} title="Objectives" id="objectives">
    <${Table} caption="Objectives with their error budgets" head=${['Objective', 'Promises', 'Budget left, %', 'Burn rate, 1 h', 'Missed in the last hour', 'State']}
      empty="None. With the key objectives the gateway follows what its routes promise: availability and latency."
      rows=${reports.map(
        ({
          objective,
          kind,
          target,
          under,
          burnRates,
          budgetRemaining,
          lastHour,
          alert,
        }) => html`<tr key=${`${objective} ${kind}`}><td>${objective}</td>
        <td>${`${number(target * 100)} % ${kind === 'latency' ? `within ${number(under)} ms` : 'succeed'}`}</td>
        <td class=${budgetRemaining < 0 ? 'error' : ''}>${number(budgetRemaining * 100)}</td><td>${number(burnRates['1h'])}</td>
        <td>${`${number(lastHour.bad)} of ${number(lastHour.total)}`}</td>
        <td class=${ALERT_CLASS[alert] ?? 'good'}>${alert === null ? 'kept' : 'burns too fast'}</td></tr>`,
      )} />
  <//>`;
}

const MOST_SHOWN = 300;

export function EventsPage() {
  const [events, setEvents] = useState([]);
  const [wanted, setWanted] = useState('');
  useEffect(() => {
    const add = (more) => setEvents((before) => [...more, ...before].slice(0, MOST_SHOWN));
    void call('GET', '/events').then(
      ({ events: found }) => setEvents(found.reverse().slice(0, MOST_SHOWN)),
      () => {},
    );
    return stream('/events/stream', 'log', (event) => add([event]));
  }, []);
  const shown = events.filter((event) => JSON.stringify(event).toLowerCase().includes(wanted.toLowerCase()));
  return html`<h1>Events</h1>
    <form onSubmit=${(event) => event.preventDefault()}>
      <label class="wide">Contains<input value=${wanted} onInput=${(event) => setWanted(event.currentTarget.value)} /></label>
    </form>
    <${Table} caption="Events, newest first" head=${['Time', 'Level', 'What', 'More']} empty="No events yet: reloads, ejections, breakers and changes by hand appear here."
      rows=${shown.map(
        ({
          id,
          time,
          level,
          message,
          ...more
        }) => html`<tr key=${id}><td>${clock(time)}</td><td class=${level === 'warn' ? 'warning' : level}>${level}</td><td>${message}</td>
        <td class="break soft">${Object.entries(more)
          .map(([key, value]) => `${key}: ${value}`)
          .join(', ')}</td></tr>`,
      )} />`;
}
