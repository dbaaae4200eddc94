/**
 * What an importer makes of another gateway's configuration: a document of ours, and for every object of the source
 * what became of it. One rule stands above all: what protected something and cannot be carried over closes the route
 * (501), whatever else is lost.
 */
import { stringify } from 'yaml';

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

  /** Said once, however many routes it concerns. */
  #add(finding: Finding): void {
    const text = JSON.stringify(finding);
    if (!this.findings.some((known) => JSON.stringify(known) === text)) this.findings.push(finding);
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
   * A guarded route with this beginning of its path could not be carried: whatever wider route could take its requests
   * is closed.
   */
  closeWider(prefix: string, source: string): void {
    this.#unguarded.push({ prefix, source });
  }

  /** Call when all routes are there. */
  settle(): void {
    for (const { prefix, source } of this.#unguarded) {
      for (const route of this.routes) {
        const { path } = route.match;
        const isWider = typeof path !== 'string' || prefix.startsWith(path.replace(/\/\*$/, ''));
        if (route.service !== undefined && isWider)
          this.close(route, source, 'a guarded route that could not be carried is taken by this one');
      }
    }
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

  /** A name that no other route has. */
  routeName(wanted: string): string {
    const base =
      wanted
        .replace(/[^A-Za-z0-9 ._/-]+/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, 180) || 'route';
    let name = base;
    for (let i = 2; this.routes.some((route) => route.name === name); i++) name = `${base}-${i}`;
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
    const lines = stringify(document, { lineWidth: 0, aliasDuplicateObjects: false }).split('\n');
    const commented = lines.flatMap((line) => {
      const name = /^ {2}- name: (.*)$/.exec(line)?.[1];
      const reason = name === undefined ? undefined : this.closed.get(name.replace(/^"|"$/g, ''));
      return reason === undefined ? [line] : [`  # CLOSED. ${reason}`, line];
    });
    const head = [
      '# yaml-language-server: $schema=./gatehouse.schema.json',
      `# Made by "gatehouse import" from ${from}. import-report.md says what differs and what is missing.`,
      ...(this.variables.size === 0 ? [] : ['# Secrets are variables; gatehouse.env has their values.']),
    ];
    return `${head.join('\n')}\n\n${commented.join('\n')}`;
  }
}

/** 0: all exact, 1: something differs, 2: something is missing. */
export function gradeOf(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ verdict }) => verdict === 'not carried')) return 2;
  return findings.some(({ verdict }) => verdict === 'approximate') ? 1 : 0;
}

export function reportOf(draft: Draft, from: string): string {
  const rows = (verdict: Verdict): Finding[] => draft.findings.filter((finding) => finding.verdict === verdict);
  const place = ({ source, line }: Finding): string => `\`${source}\`${line === null ? '' : ` (line ${line})`}`;
  const section = (title: string, verdict: Verdict): string[] => {
    const found = rows(verdict);
    if (found.length === 0) return [];
    return [
      `## ${title}`,
      '',
      ...found.map((finding) => `- ${place(finding)}${finding.note === '' ? '' : `: ${finding.note}`}`),
      '',
    ];
  };
  const count = (verdict: Verdict): number => rows(verdict).length;
  return [
    `# What became of ${from}`,
    '',
    `${count('exact')} exact, ${count('approximate')} approximate, ${count('not carried')} not carried.`,
    '',
    ...(draft.closed.size === 0
      ? []
      : [
          `${draft.closed.size === 1 ? '1 route answers' : `${draft.closed.size} routes answer`} 501, because something that protected them could not be carried: ${[...draft.closed.keys()].join(', ')}.`,
          '',
        ]),
    ...(draft.variables.size === 0
      ? []
      : [
          `Variables that must be set (gatehouse.env has their values): ${[...draft.variables.keys()].join(', ')}.`,
          '',
        ]),
    ...section('Not carried', 'not carried'),
    ...section('Approximate', 'approximate'),
    ...section('Exact', 'exact'),
  ].join('\n');
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

export function texts(value: unknown): string[] {
  return list(value).map(String);
}

export function number(value: unknown): number | undefined {
  const found = Number(value);
  return value === undefined || value === null || Number.isNaN(found) ? undefined : found;
}
