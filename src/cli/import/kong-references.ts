/**
 * What belongs to what in a file of Kong's: entities stand in each other, or beside each other with a name or an id, as
 * `kong config db_export` writes them. What refers to something that is not here is a stray, and never dropped in
 * silence.
 */
import { list, mapping } from './draft.ts';

type Item = Readonly<Record<string, unknown>>;

const SCOPES = ['route', 'service', 'consumer', 'consumer_group'] as const;

export class KongReferences {
  readonly services: readonly Item[];
  readonly consumers: readonly Item[];
  readonly #root: Item;
  readonly #routes: readonly Item[];
  readonly #groups: readonly Item[];
  readonly #plugins: readonly Item[];
  readonly #defaults: Readonly<Record<string, Item>>;
  readonly #configs: Item;

  constructor(root: Item) {
    this.#root = root;
    this.#configs = mapping(root['_plugin_configs']);
    this.#defaults = Object.fromEntries(
      Object.entries(mapping(mapping(root['_info'])['defaults'])).map(([key, value]) => [key, mapping(value)]),
    );
    this.services = this.#all('services', 'service');
    this.#routes = this.#all('routes', 'route');
    this.#groups = this.#all('consumer_groups', 'consumer_group');
    this.consumers = this.#all('consumers', 'consumer');
    this.#plugins = list(root['plugins']).map((plugin) => this.#plugin(mapping(plugin)));
  }

  #all(key: string, kind: string): Item[] {
    return list(this.#root[key]).map((item) => ({ ...this.#defaults[kind], ...mapping(item) }));
  }

  /** `_config` names a configuration that several share. */
  #plugin(plugin: Item): Item {
    const shared = plugin['_config'];
    if (shared === undefined) return plugin;
    return { ...plugin, config: { ...mapping(this.#configs[String(shared)]), ...mapping(plugin['config']) } };
  }

  /** Of a service, or, with null, of none. */
  routesOf(service: Item | null): Item[] {
    if (service === null) return this.#routes.filter((route) => isNothing(route['service']));
    const own = list(service['routes']).map((route) => ({ ...this.#defaults['route'], ...mapping(route) }));
    return [...own, ...this.#routes.filter((route) => isSame(route['service'], service))];
  }

  strayRoutes(): Item[] {
    return this.#routes.filter(
      (route) => !isNothing(route['service']) && !this.services.some((service) => isSame(route['service'], service)),
    );
  }

  upstream(host: string): Item | undefined {
    return list(this.#root['upstreams'])
      .map(mapping)
      .find(({ name }) => name === host);
  }

  targetsOf(upstream: Item): Item[] {
    const beside = list(this.#root['targets'])
      .map(mapping)
      .filter((target) => isSame(target['upstream'], upstream));
    return [...list(upstream['targets']).map(mapping), ...beside];
  }

  /** Credentials of one kind, within the consumer or beside it. */
  credentialsOf(consumer: Item, kind: string): Item[] {
    const beside = list(this.#root[kind])
      .map(mapping)
      .filter((credential) => isSame(credential['consumer'], consumer));
    return [...list(consumer[kind]).map(mapping), ...beside];
  }

  /** Has it, or a group of its, plugins of its own anywhere? */
  hasOwnPlugins(consumer: Item): boolean {
    const groups = [
      ...list(consumer['groups']).map((each) => (typeof each === 'object' ? mapping(each) : { name: each })),
      ...this.#groups.filter(({ consumers }) => list(consumers).some((each) => isSame(each, consumer))),
      ...list(this.#root['consumer_group_consumers'])
        .map(mapping)
        .filter((each) => isSame(each['consumer'], consumer))
        .map((each) => this.#groups.find((group) => isSame(each['consumer_group'], group)) ?? {}),
    ].map((group) => this.#groups.find((known) => isSame(group, known)) ?? group);
    if (list(consumer['plugins']).length > 0) return true;
    // A group that is not in the file may have some.
    if (groups.some((group) => list(group['plugins']).length > 0 || !this.#groups.includes(group))) return true;
    return this.#everyPlugin().some(
      (plugin) =>
        isSame(plugin['consumer'], consumer) || groups.some((group) => isSame(plugin['consumer_group'], group)),
    );
  }

  #everyPlugin(): Item[] {
    const within = [
      ...this.services,
      ...this.#routes,
      ...this.services.flatMap((each) => list(each['routes']).map(mapping)),
    ];
    return [...this.#plugins, ...within.flatMap((each) => list(each['plugins']).map(mapping))];
  }

  /**
   * One of each name: that of the route, else of the service, else the global one. Those of consumers and groups are not
   * among them: they stand at the consumer. `problem`: one cannot be read.
   */
  pluginsOf(route: Item, service: Item): { readonly plugins: readonly Item[]; readonly problem: string | undefined } {
    const within = (owner: Item): Item[] => list(owner['plugins']).map((plugin) => this.#plugin(mapping(plugin)));
    const scoped = (key: 'route' | 'service', owner: Item): Item[] =>
      this.#plugins.filter((plugin) => isSame(plugin[key], owner));
    const levels = [
      [...within(route), ...scoped('route', route)],
      [...within(service), ...scoped('service', service).filter((plugin) => isNothing(plugin['route']))],
      this.#plugins.filter((plugin) => isNothing(plugin['route']) && isNothing(plugin['service'])),
    ];
    const chosen = new Map<string, Item>();
    let problem: string | undefined;
    for (const level of levels) {
      for (const plugin of level) {
        if (plugin['enabled'] === false || !isNothing(plugin['consumer']) || !isNothing(plugin['consumer_group']))
          continue;
        const name = String(plugin['name']);
        if (list(plugin['partials']).length > 0)
          problem = `${name} takes parts of its configuration from elsewhere (partials)`;
        if (plugin['_config'] !== undefined && this.#configs[String(plugin['_config'])] === undefined)
          problem = `${name} has a configuration that is not in the file (_config)`;
        if (!chosen.has(name)) chosen.set(name, plugin);
      }
    }
    return { plugins: [...chosen.values()], problem };
  }

  /** They belong to routes or services that are not here. */
  strayPlugins(): Item[] {
    const routes = [...this.#routes, ...this.services.flatMap((each) => list(each['routes']).map(mapping))];
    const known: Readonly<Record<(typeof SCOPES)[number], readonly Item[]>> = {
      route: routes,
      service: this.services,
      consumer: this.consumers,
      consumer_group: this.#groups,
    };
    return this.#plugins.filter(
      (plugin) =>
        plugin['enabled'] !== false &&
        SCOPES.some((scope) => !isNothing(plugin[scope]) && !known[scope].some((item) => isSame(plugin[scope], item))),
    );
  }
}

function isNothing(reference: unknown): boolean {
  return reference === undefined || reference === null || reference === '';
}

/** Is `item` what a name, an id, or a mapping with one of them refers to? */
function isSame(reference: unknown, item: Item): boolean {
  if (isNothing(reference)) return false;
  const asked = typeof reference === 'object' ? Object.values(pick(mapping(reference))) : [reference];
  const names = Object.values(pick(item));
  return asked.some((each) => names.includes(each));
}

function pick(item: Item): Item {
  const found = Object.entries(item).filter(
    ([key, value]) => ['id', 'name', 'username', 'custom_id'].includes(key) && !isNothing(value),
  );
  return Object.fromEntries(found);
}
