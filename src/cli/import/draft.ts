/**
 * What an importer makes of another gateway's configuration: a document of ours, and for every object of the source
 * what became of it. One rule stands above all: what protected something and cannot be carried over closes the route
 * (501), whatever else is lost.
 */
import { stringify } from 'yaml';
import { literally } from './regex.ts';

/** What became of one object of the source. */
export interface Finding {
  /** `routes/orders/plugins/jwt`, as the source would name it. */
  readonly source: string;
  /** In the source file, from 1; null where its format does not tell. */
  readonly line: number | null;
  readonly verdict: Verdict;
  /** What differs, or why it was not carried and what to do. */
  readonly note: string;
}

export type Verdict = 'exact' | 'approximate' | 'not carried';

export interface DraftRoute {
  name: string;
  match: Record<string, unknown>;
  priority?: number;
  service?: string;
  respond?: Record<string, unknown>;
  redirect?: unknown;
  auth?: unknown;
  [key: string]: unknown;
}

export type DraftService = Record<string, unknown>;

/** The gateway's own endpoints, out of the way: `/health` and `/metrics` of the services are theirs. */
const ENDPOINTS = {
  health: '/-/health',
  live: '/-/health/live',
  ready: '/-/health/ready',
  detailed: '/-/health/detailed',
  status: '/-/status',
  metrics: '/-/metrics',
  prometheus: '/-/metrics/prometheus',
};

export class Draft {
  readonly gateway: Record<string, unknown> = {};
  readonly services: Record<string, DraftService> = {};
  readonly routes: DraftRoute[] = [];
  readonly issuers: Record<string, unknown> = {};
  readonly findings: Finding[] = [];
  /** Secrets by the name of the variable that stands for each in the document. */
  readonly variables = new Map<string, string>();
  /** Reasons why a route was closed, by its name. */
  readonly closed = new Map<string, string>();

  exact(source: string, line: number | null = null): undefined {
    this.#add({ source, line, verdict: 'exact', note: '' });
  }

  approximate(source: string, note: string, line: number | null = null): undefined {
    this.#add({ source, line, verdict: 'approximate', note });
  }

  lost(source: string, note: string, line: number | null = null): undefined {
    this.#add({ source, line, verdict: 'not carried', note });
  }

  readonly #said = new Set<string>();

  /** Said once, however many routes it concerns. */
  #add(finding: Finding): void {
    const text = JSON.stringify(finding);
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.findings.push(finding);
  }

  /** A protection that cannot be carried: the route answers 501 until an operator has rewritten it. */
  close(route: DraftRoute, source: string, note: string, line: number | null = null): undefined {
    this.lost(source, `${note}; the route answers 501 until you have written it`, line);
    if (!this.closed.has(route.name)) this.closed.set(route.name, `${source}: ${note}`);
    for (const key of Object.keys(route))
      if (key !== 'name' && key !== 'match' && key !== 'priority') delete route[key];
    route.respond = { status: 501, body: `Not carried over: ${source}\n` };
    route.auth = 'public';
  }

  readonly #unguarded: { readonly prefix: string; readonly source: string }[] = [];

  /**
   * A guarded route with this beginning of its path could not be carried: whatever other route could take its requests
   * is closed.
   */
  closeWider(prefix: string, source: string): void {
    this.#unguarded.push({ prefix, source });
  }

  readonly #prefixes: Prefix[] = [];
  readonly #ordered = new Set<string>();
  readonly #guardedBeyond = new Set<DraftRoute>();

  /**
   * The source takes what begins with `text`, here a prefix ends at a slash. Where that guards something, `/adminx`
   * stays as guarded as `/admin`.
   */
  prefix(prefix: Prefix): void {
    this.#prefixes.push(prefix);
  }

  /** Call when all routes are there. */
  settle(): void {
    for (const { prefix, source } of this.#unguarded.splice(0)) {
      for (const route of this.routes) {
        const { path } = route.match;
        const known = typeof path === 'string' ? path.replace(/(?:\/\*|:.*)$/, '') : '';
        const isNear = prefix.startsWith(known) || known.startsWith(prefix);
        if (route.service !== undefined && isNear)
          this.close(route, source, 'a guarded route that could not be carried is taken by this one');
      }
    }
    const needed = this.#prefixes.filter(
      ({ route, text }) =>
        !text.endsWith('/') && !this.#guardedBeyond.has(route) && isGuarded(route) && this.#hasWider(text),
    );
    const groups = new Set(needed.map(({ group }) => group).filter((group) => !this.#ordered.has(group)));
    for (const { route, group, order } of this.#prefixes)
      if (groups.has(group)) route.priority = (route.priority ?? 0) + order;
    for (const group of groups) this.#ordered.add(group);
    for (const { route, text, source } of needed) {
      const beyond: DraftRoute = {
        ...route,
        name: this.routeName(`${route.name} and beyond`),
        match: { ...route.match, path: { regex: `${literally(text)}[^/][\\s\\S]*` } },
      };
      this.routes.push(beyond);
      this.#guardedBeyond.add(route);
      const reason = this.closed.get(route.name);
      if (reason !== undefined) this.closed.set(beyond.name, reason);
      else if (route['rewrite'] !== undefined)
        this.close(beyond, source, `what begins with ${text} in the middle of a segment is not rewritten`);
    }
    this.#lower();
  }

  /** Only the order of routes matters, and none may go before the gateway's own endpoints. */
  #lower(): void {
    const wide = this.routes.filter(({ match }) => match['path'] === '/*' && match['hosts'] === undefined);
    const most = Math.max(0, ...wide.map(({ priority = 0 }) => priority));
    if (most === 0) return;
    for (const route of this.routes) {
      route.priority = (route.priority ?? 0) - most;
      if (route.priority === 0) delete route.priority;
    }
  }

  /** Would a prefix that ends earlier take what goes on in the middle of a segment? */
  #hasWider(text: string): boolean {
    return this.routes.some(({ service, match: { path } }) => {
      if (service === undefined || typeof path !== 'string' || !path.endsWith('/*')) return false;
      return text.startsWith(path.slice(0, -1)) && text.length >= path.length;
    });
  }

  /** Leaves routes out, before `settle`. */
  drop(gone: ReadonlySet<DraftRoute>): void {
    this.routes.splice(0, this.routes.length, ...this.routes.filter((route) => !gone.has(route)));
  }

  isClosed(route: DraftRoute): boolean {
    return this.closed.has(route.name);
  }

  /** A variable that stands for a secret; equal values share one. */
  secret(hint: string, value: string): string {
    for (const [name, known] of this.variables) if (known === value) return `\${${name}}`;
    const base =
      hint
        .toUpperCase()
        .replace(/[^A-Z0-9]+/g, '_')
        .replace(/^_+|_+$/g, '')
        .slice(0, 60) || 'SECRET';
    let name = base;
    for (let i = 2; this.variables.has(name); i++) name = `${base}_${i}`;
    this.variables.set(name, value);
    return `\${${name}}`;
  }

  readonly #names = new Map<string, number>();

  /** A name that no other route has. */
  routeName(wanted: string): string {
    const base =
      wanted
        .replace(/[^A-Za-z0-9 ._/-]+/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, 180) || 'route';
    let count = this.#names.get(base) ?? 0;
    let name: string;
    do {
      count++;
      name = count === 1 ? base : `${base}-${count}`;
    } while (this.#names.has(name));
    this.#names.set(base, count);
    if (name !== base) this.#names.set(name, 1);
    return name;
  }

  readonly #serviceNames = new Map<string, string>();

  /** The service with these options, which is made where there is none. */
  serviceFor(wanted: string, options: DraftService): string {
    const text = JSON.stringify(options);
    const known = this.#serviceNames.get(text);
    if (known !== undefined) return known;
    const name = this.serviceName(wanted);
    this.services[name] = options;
    this.#serviceNames.set(text, name);
    return name;
  }

  serviceName(wanted: string): string {
    const base =
      wanted
        .replace(/[^A-Za-z0-9_-]+/g, '-')
        .replace(/^[^A-Za-z]+/, '')
        .slice(0, 60) || 'service';
    let name = base;
    for (let i = 2; Object.hasOwn(this.services, name); i++) name = `${base}-${i}`;
    return name;
  }

  /** `${NAME}` of a source is text; only the variables made here are variables. */
  #plain(value: unknown): unknown {
    if (typeof value === 'string') {
      const name = /^\$\{(\w+)\}$/.exec(value)?.[1];
      return name !== undefined && this.variables.has(name) ? value : value.replaceAll('${', () => '$${');
    }
    if (Array.isArray(value)) return value.map((each) => this.#plain(each));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, this.#plain(each)]));
  }

  /** The configuration as YAML, with a comment at everything that was closed. */
  yaml(from: string): string {
    const used = new Set(this.routes.map(({ service }) => service));
    const services = Object.fromEntries(Object.entries(this.services).filter(([name]) => used.has(name)));
    const document = {
      gateway: { ...this.gateway, endpoints: ENDPOINTS },
      ...(Object.keys(this.issuers).length === 0 ? {} : { issuers: this.issuers }),
      ...(Object.keys(services).length === 0 ? {} : { services }),
      routes: this.routes,
    };
    const lines = stringify(this.#plain(document), { lineWidth: 0, aliasDuplicateObjects: false }).split('\n');
    const commented = lines.flatMap((line) => {
      const name = /^ {2}- name: (.*)$/.exec(line)?.[1];
      const reason = name === undefined ? undefined : this.closed.get(name.replace(/^"|"$/g, ''));
      return reason === undefined ? [line] : [`  # CLOSED. ${reason.replace(/[\r\n]+/g, ' ')}`, line];
    });
    const head = [
      '# yaml-language-server: $schema=./gatehouse.schema.json',
      `# Made by "gatehouse import" from ${from}. import-report.md says what differs and what is missing.`,
      ...(this.variables.size === 0 ? [] : ['# Secrets are variables; gatehouse.env has their values.']),
    ];
    return `${head.join('\n')}\n\n${commented.join('\n')}`;
  }
}

/** What takes a request and says how far it guards. */
export interface Prefix {
  readonly route: DraftRoute;
  /** As the source has it. */
  readonly text: string;
  readonly source: string;
  /** Routes that are chosen among each other. */
  readonly group: string;
  /** Added to the priority of each of a group, where patterns alone would not keep the source's order. */
  readonly order: number;
}

/** Does it refuse anything that a route beside it may not refuse? */
export function isGuarded({ auth, respond, ipFilter, rateLimit }: DraftRoute): boolean {
  const { status } = (respond ?? {}) as { readonly status?: number };
  return auth !== 'public' || ipFilter !== undefined || rateLimit !== undefined || (status ?? 0) >= 400;
}

/** A prefix of paths as a pattern of ours. */
export function prefixPattern(prefix: string): string {
  const trimmed = prefix.replace(/\/+$/, '');
  return `${trimmed}/*`;
}

type Mapping = Readonly<Record<string, unknown>>;

export function mapping(value: unknown): Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}

/** What a header field may be set to here; undefined when it may. */
export async function fieldChecker(): Promise<FieldProblem> {
  const { headersOptions } = await import('../../data/policies/headers.options.ts');
  return (side, name, value) =>
    headersOptions.schema.safeParse({ [side]: { set: { [name]: value } } }).error?.issues[0]?.message;
}

export type FieldProblem = (side: 'request' | 'response', name: string, value: string) => string | undefined;

export function texts(value: unknown): string[] {
  return list(value).map(String);
}

export function number(value: unknown): number | undefined {
  const found = Number(value);
  return value === undefined || value === null || Number.isNaN(found) ? undefined : found;
}
