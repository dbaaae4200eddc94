/** Routes: which one takes a request, and what each does and has counted. Of a long list a part is shown. */

import { followInto } from './live.js';
import { TryRequest } from './try-request.js';
import { Card, html, More, number, query, Search, STEP, setQuery, Table } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';

const routes = signal(null);
const EVERY_MS = 6_000;

export function RoutesPage() {
  return html`<h1>Routes</h1><${TryRequest} /><${AllRoutes} />`;
}

function AllRoutes() {
  const [q, setWanted] = useState(() => query().q ?? '');
  const [limit, setLimit] = useState(STEP);
  const path = `/routes?${new URLSearchParams({ q, limit })}`;
  useEffect(() => followInto(path, routes, EVERY_MS), [path]);
  const search = (text) => {
    setQuery({ ...query(), q: text });
    setWanted(text);
    setLimit(STEP);
  };
  const { routes: found, total, matching } = routes.value ?? { routes: [], total: null, matching: 0 };
  if (total === null) return html`<p class="soft">Reading the gateway …</p>`;
  return html`<${Card} title="All routes" id="all">
      <${Search} label="Search" value=${q} search=${search} />
      <p class="soft" role="status">${number(matching)} of ${number(total)}${matching > found.length ? `, the first ${found.length} are shown` : ''}</p>
      <${Table} most=${Infinity} caption="Routes" head=${['Route', 'Takes', 'Does', 'Policies', 'Requests', 'Median, ms', 'p99, ms']}
        empty=${total === 0 ? 'No routes are configured: add one under routes in the configuration, and requests get somewhere.' : `No route has “${q}”.`}
        rows=${found.map(
          (
            route,
          ) => html`<tr key=${route.id}><td class="break">${route.id}</td><td class="break">${pathOf(route)}</td><td>${actionOf(route)}</td>
          <td>${route.policies.join(', ')}</td><td>${number(route.requests)}</td><td>${number(route.p50Ms)}</td><td>${number(route.p99Ms)}</td></tr>`,
        )} />
      ${matching > found.length && html`<${More} more=${() => setLimit(limit + STEP)} />`}
    <//>`;
}

function pathOf({ match }) {
  const path = match.path.kind === 'pattern' ? match.path.pattern : `~ ${match.path.source}`;
  return `${match.methods.length === 0 ? 'any' : match.methods.join(',')} ${match.hosts.join(',')}${path}`;
}

function actionOf({ action }) {
  return action.kind === 'service' ? action.targets.map(({ service }) => service).join(', ') : action.kind;
}
