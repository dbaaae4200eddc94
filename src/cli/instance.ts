/**
 * `gatehouse instance`: lists instances; drains, weighs, adds, takes out and puts back one, beside the configuration,
 * on this machine or, with --server, elsewhere.
 */
import type { ServiceReport } from '../control/ops/services.ts';
import type { Override } from '../control/overrides.ts';
import { ADMIN_OPTIONS, callAdmin } from './admin-call.ts';
import type { Command, CommandContext, CommandOption } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { BY_HAND_EXITS, BY_HAND_OPTIONS, ended, set } from './operate.ts';
import { table } from './table.ts';

const OPTIONS: Readonly<Record<string, CommandOption>> = {
  ...BY_HAND_OPTIONS,
  weight: { type: 'string', value: 'WEIGHT', meaning: 'weight of an added instance; default 1, 0 is standby' },
  zone: { type: 'string', value: 'ZONE', meaning: 'zone of an added instance' },
  ...ADMIN_OPTIONS,
  json: JSON_OPTION,
};

type Action = (context: CommandContext, named: string, more: string | undefined) => Promise<number>;
/** `more`: what stands behind the instance. */
const ACTIONS: Readonly<Record<string, { readonly more: string | null; readonly act: Action }>> = {
  add: { more: 'URL', act: add },
  remove: { more: null, act: remove },
  restore: { more: null, act: restore },
  drain: { more: null, act: async (context, named) => set(context, `${await pathOf(context, named)}/drain`, {}) },
  undrain: { more: null, act: async (context, named) => ended(context, `${await pathOf(context, named)}/drain`) },
  weight: { more: 'WEIGHT', act: weigh },
};

export const instance: Command = {
  name: 'instance',
  summary: 'list instances; drain, weigh, add or take out one',
  usage: [
    'list',
    'drain INSTANCE --reason TEXT [--for TIME]',
    'undrain INSTANCE',
    'weight INSTANCE WEIGHT|default --reason TEXT [--for TIME]',
    'add SERVICE URL --reason TEXT [--for TIME] [--weight WEIGHT] [--zone ZONE]',
    'remove INSTANCE --reason TEXT [--for TIME]',
    'restore INSTANCE',
  ],
  description: `INSTANCE is an id of "list", or its URL where that is only one. A draining instance gets no new requests; what is in flight finishes, and "list" says when nothing is. "remove" takes one out altogether, also out of health checks and where discovery goes on finding it, until "restore"; one that was added by hand just goes. "add" needs a token of the role admin, since it names where requests go. All of it holds over reloads and restarts until --for is over or it is ended; the configuration file stays as it is.

${BY_HAND_EXITS}`,
  options: OPTIONS,
  arguments: { min: 1, max: 3 },
  async run(context) {
    const [action = '', named, more] = context.positionals;
    if (action === 'list' && named === undefined) return list(context);
    const known = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (known === undefined || named === undefined)
      throw new UsageError(`say list, or ${Object.keys(ACTIONS).join(', ')} and an instance`);
    if ((more === undefined) !== (known.more === null))
      throw new UsageError(
        `"${action}" takes ${known.more === null ? 'one argument' : `two, the second is ${known.more}`}`,
      );
    for (const name of ['weight', 'zone'])
      if (context.options[name] !== undefined && action !== 'add') throw new UsageError(`--${name} belongs to "add"`);
    return known.act(context, named, more);
  },
};

async function add(context: CommandContext, service: string, url = ''): Promise<number> {
  const { weight, zone } = context.options;
  return set(context, `/services/${encodeURIComponent(service)}/instances`, {
    url,
    ...(typeof weight === 'string' ? { weight: weightOf(weight) } : {}),
    ...(typeof zone === 'string' ? { zone } : {}),
  });
}

async function remove(context: CommandContext, named: string): Promise<number> {
  const id = await idOf(context, named);
  const path = `/instances/${encodeURIComponent(id)}`;
  const isAdded = (await overrides(context)).some(({ kind, target }) => kind === 'added' && target === id);
  return isAdded ? ended(context, `${path}/added`) : set(context, `${path}/removed`, {});
}

async function restore(context: CommandContext, named: string): Promise<number> {
  const removed = (await overrides(context)).filter(({ kind }) => kind === 'removed');
  const found = removed.filter(({ target, instance: out }) => target === named || isUrl(out?.url, named));
  if (found.length > 1) throw manyHave(found.length);
  return ended(context, `/instances/${encodeURIComponent(found[0]?.target ?? named)}/removed`);
}

async function weigh(context: CommandContext, named: string, weight = ''): Promise<number> {
  const path = `${await pathOf(context, named)}/weight`;
  return weight === 'default' ? ended(context, path) : set(context, path, { weight: weightOf(weight) });
}

function weightOf(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new UsageError(`"${text}" is not a weight`);
  return Number(text);
}

async function read<Key extends string, Found>(context: CommandContext, key: Key): Promise<readonly Found[]> {
  const answer = await callAdmin(context, 'GET', `/${key}`);
  if (answer.status !== 200) throw new UsageError(`the ${key} cannot be listed: status ${answer.status}`);
  return (answer.body as Readonly<Record<Key, readonly Found[]>>)[key];
}

const services = (context: CommandContext) => read<'services', ServiceReport>(context, 'services');
const overrides = (context: CommandContext) => read<'overrides', Override>(context, 'overrides');

async function pathOf(context: CommandContext, named: string): Promise<string> {
  return `/instances/${encodeURIComponent(await idOf(context, named))}`;
}

async function idOf(context: CommandContext, named: string): Promise<string> {
  const all = (await services(context)).flatMap(({ instances }) => instances);
  if (all.some(({ id }) => id === named)) return named;
  const byUrl = all.filter(({ url }) => isUrl(url, named));
  if (byUrl.length > 1) throw manyHave(byUrl.length);
  return byUrl[0]?.id ?? named;
}

function isUrl(url: string | undefined, named: string): boolean {
  return url === named || `${url}/` === named || url === `${named}/`;
}

function manyHave(count: number): UsageError {
  return new UsageError(`${count} instances have this URL: name the id, as "instance list" has it`);
}

async function list(context: CommandContext): Promise<number> {
  const found = await services(context);
  if (context.options['json'] === true) {
    context.out(`${JSON.stringify(found, null, 2)}\n`);
    return EXIT.ok;
  }
  const byHand = await overrides(context);
  const added = new Set(byHand.filter(({ kind }) => kind === 'added').map(({ target }) => target));
  const rows = found.flatMap((service) =>
    service.instances.map(({ id, weight, inFlight, draining, usable }) => [
      service.name,
      id,
      draining ? (inFlight === 0 ? 'drained' : 'draining') : usable ? 'up' : 'out',
      `weight ${weight}`,
      `${inFlight} in flight`,
      added.has(id) ? 'added by hand' : '',
    ]),
  );
  for (const { kind, target, instance: out, owner } of byHand)
    if (kind === 'removed') rows.push([out?.service ?? '', target, 'taken out', '', '', `by ${owner}`]);
  context.out(rows.length === 0 ? 'there are no instances\n' : `${table(rows)}\n`);
  return EXIT.ok;
}
