/** The cluster: its nodes and queen, what is being rolled out, and taking nodes out of use. */

import { call } from './api.js';
import { useAction, useFeature } from './pages-limits.js';
import { Ask, ago, Card, html, Message, may, number, Table, time } from './ui.js';

const NODES = '/features/cluster/nodes';
const OVER = new Set(['done', 'rejected', 'rolling-back', 'rolled-back']);

export function ClusterPage() {
  const cluster = useFeature('/features/cluster/cluster');
  const nodes = useFeature(NODES);
  const rollouts = useFeature('/features/cluster/cluster/rollouts');
  const { message, act } = useAction(async () => {
    await Promise.all([nodes.read(), rollouts.read()]);
  });
  if (cluster.isOff)
    return html`<h1>Cluster</h1><p class="plain">This gateway is alone. Give several gateways the key <code>cluster</code> and one store: then they are listed here, and a configuration is tried on one before it reaches the others.</p>`;
  const { found } = cluster;
  if (found === null)
    return html`<h1>Cluster</h1><${Message} error=${cluster.error} /><p class="soft">Reading the cluster …</p>`;
  const tone = found.status === 'healthy' ? 'good' : found.status === 'degraded' ? 'warning' : 'error';
  return html`<h1>Cluster ${found.name}: <span class=${tone}>${found.status}</span></h1>
    <${Message} error=${message.error || cluster.error} done=${message.done} />
    <${Card} title="Now" id="now">
      <dl class="numbers">
        <div><dt>Queen</dt><dd class="name">${found.queen ?? html`<span class="error">none</span>`}</dd></div>
        <div><dt>This node</dt><dd class="name">${found.node}</dd></div>
        <div><dt>Nodes alive</dt><dd>${number(found.nodes.alive)}</dd></div>
        <div><dt>Suspect or gone</dt><dd>${number((found.nodes.suspect ?? 0) + (found.nodes.gone ?? 0))}</dd></div>
        <div><dt>Configuration</dt><dd>${found.version === 0 ? 'its own' : `version ${found.version}`}</dd></div>
      </dl>
    <//>
    <${Card} title="Nodes" id="nodes">
      <${Table} caption="Nodes of the cluster" head=${['Node', 'State', 'Health', 'Version', 'Seen', 'Actions']} empty="No node has joined yet."
        rows=${(nodes.found?.nodes ?? []).map((node) => html`<${Node} key=${node.id} node=${node} act=${act} />`)} />
    <//>
    <${Card} title="Rollouts" id="rollouts">
      <${Table} caption="Rollouts, newest first" head=${['Version', 'State', 'Why', 'By', 'Begun', 'Actions']} empty="No configuration was rolled out yet: gatehouse cluster rollout FILE --reason TEXT does it."
        rows=${(rollouts.found?.rollouts ?? []).map((each) => html`<${Rollout} key=${each.id} rollout=${each} act=${act} />`)} />
    <//>`;
}

function Node({ node, act }) {
  const { id, name, state, presence } = node;
  const tone = presence !== 'alive' ? 'error' : state !== 'active' ? 'warning' : 'good';
  const set = (action, done) => async (more) => {
    const { reason } = more;
    if (!(await act(() => call('POST', `${NODES}/${encodeURIComponent(id)}/${action}`, { reason }), done)))
      throw new Error('it was refused: see above');
  };
  return html`<tr><td class="break">${name}${node.is_queen ? ' (queen)' : ''}<br /><span class="soft">${node.zone ?? ''} ${node.software ?? ''}</span></td>
    <td class=${tone}>${presence === 'alive' ? state : presence}${node.state_reason ? `: ${node.state_reason}` : ''}</td><td>${node.health}</td>
    <td>${node.applied_version}${node.wanted_version !== node.applied_version ? html` <span class="warning">wants ${node.wanted_version}</span>` : ''}${node.apply_problem ? html` <span class="error">${node.apply_problem}</span>` : ''}</td>
    <td>${ago(Date.now() - new Date(node.seen_at).getTime())}</td>
    <td>${
      may('operator') &&
      (state === 'active'
        ? html`<${Ask} label="Drain" title=${`Drain the node ${name}?`} timed=${false} act=${set('drain', `${name} is draining.`)} />`
        : html`<${Ask} label="Use again" title=${`Use the node ${name} again?`} timed=${false} act=${set('activate', `${name} is in use again.`)} />`)
    }</td></tr>`;
}

function Rollout({ rollout, act }) {
  const abort = async ({ reason }) => {
    const path = `/features/cluster/cluster/rollouts/${encodeURIComponent(rollout.id)}/abort`;
    if (!(await act(() => call('POST', path, { reason }), 'The rollout is being undone.')))
      throw new Error('it was refused');
  };
  return html`<tr><td>${rollout.from_version} to ${rollout.version}</td><td>${rollout.state}${rollout.canary.length > 0 ? ` (first on ${rollout.canary.join(', ')})` : ''}</td>
    <td class="break">${rollout.reason ?? ''}</td><td class="break">${rollout.created_by}</td><td>${time(rollout.created_at)}</td>
    <td>${may('admin') && !OVER.has(rollout.state) && html`<${Ask} label="Undo" title=${`Undo the rollout of version ${rollout.version}?`} timed=${false} act=${abort} />`}</td></tr>`;
}
