/**
 * Documents of the user's services: files, those that validate requests (the key `openapi` of services and routes), and
 * what is fetched. A document that cannot be had or read is a problem, and what was had before stays.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { AskOutside } from '../auth/http.ts';
import type { ApiSource, Mapping } from '../openapi-document.ts';
import { MAX_DOCUMENT_BYTES, readApiDocument } from './read-document.ts';
import type { DocumentSource } from './section.ts';

export interface FoundSources {
  readonly sources: readonly ApiSource[];
  readonly problems: readonly string[];
}

/** What it reads of the document. */
export interface WrittenDocument {
  readonly services: Readonly<Record<string, object>>;
  readonly routes: readonly object[];
}

/** Base addresses of the instances of a service, the best first. */
export type InstanceUrls = (service: string) => readonly string[];

const FETCH_TIMEOUT_MS = 10_000;

/** Documents by which requests are checked describe those requests. A file that is named twice is read twice. */
export async function validationSources(document: WrittenDocument, baseDir: string): Promise<FoundSources> {
  const named = [
    ...Object.entries(document.services).map(([service, options]) => ({ service, route: null, options })),
    ...document.routes.map((options, route) => ({ service: serviceNamed(options), route, options })),
  ];
  const found: ApiSource[] = [];
  const problems: string[] = [];
  for (const { service, route, options } of named) {
    const written = (options as { readonly openapi?: string | { readonly file: string; readonly basePath?: string } })
      .openapi;
    if (written === undefined) continue;
    const { file, basePath = null } = typeof written === 'string' ? { file: written } : written;
    const read = await readFileDocument(resolve(baseDir, file));
    if ('problem' in read) problems.push(`${file}: ${read.problem}`);
    else found.push({ service, from: file, document: read.document, paths: 'downstream', basePath, route });
  }
  return { sources: found, problems };
}

function serviceNamed(route: object): string {
  const { service } = route as { readonly service?: unknown };
  if (typeof service === 'string') return service;
  return Array.isArray(service) ? String((service[0] as { service?: unknown } | undefined)?.service ?? '') : 'gateway';
}

async function readFileDocument(file: string) {
  try {
    return readApiDocument(await readFile(file, 'utf8'));
  } catch (error) {
    return { problem: `it cannot be read: ${messageOf(error)}` };
  }
}

/** The documents of `openapi.services`, kept between two uses. */
export class ServiceDocuments {
  readonly #ask: AskOutside;
  readonly #instances: InstanceUrls;
  readonly #now: () => number;
  readonly #kept = new Map<string, { document: Mapping; atMs: number }>();
  readonly #failed = new Map<string, { problem: string; atMs: number }>();
  /** Fetches that failed since the start. */
  failures = 0;

  constructor(ask: AskOutside, instances: InstanceUrls, now: () => number = Date.now) {
    this.#ask = ask;
    this.#instances = instances;
    this.#now = now;
  }

  async load(sources: readonly DocumentSource[]): Promise<FoundSources> {
    const results = await Promise.all(sources.map((source) => this.#one(source)));
    const wanted = new Set(sources.map(keyOf));
    for (const key of this.#kept.keys()) if (!wanted.has(key)) this.#kept.delete(key);
    for (const key of this.#failed.keys()) if (!wanted.has(key)) this.#failed.delete(key);
    return {
      sources: results.flatMap(({ source }) => source ?? []),
      problems: results.flatMap(({ problem }) => problem ?? []),
    };
  }

  async #one(source: DocumentSource): Promise<{ source?: ApiSource; problem?: string }> {
    const { service, basePath, at } = source;
    const from = at.kind === 'file' ? at.file : at.kind === 'url' ? withoutPassword(at.url) : `${service}${at.path}`;
    const read = at.kind === 'file' ? await readFileDocument(at.file) : await this.#fetched(source, at.refreshMs);
    if (read === null)
      return { problem: `${from}: ${this.#failed.get(keyOf(source))?.problem ?? 'it could not be fetched'}` };
    if ('problem' in read) return { problem: `${from}: ${read.problem}` };
    const problem = this.#failed.get(keyOf(source))?.problem;
    return {
      source: { service, from, document: read.document, paths: 'upstream', basePath, route: null },
      ...(problem === undefined ? {} : { problem: `${from}: ${problem}; the one of before is shown` }),
    };
  }

  async #fetched(source: DocumentSource, refreshMs: number) {
    const key = keyOf(source);
    const kept = this.#kept.get(key);
    const failed = this.#failed.get(key);
    const lastMs = Math.max(kept?.atMs ?? 0, failed?.atMs ?? 0);
    // What failed is tried again sooner than what is known.
    const waitMs = failed === undefined ? refreshMs : Math.min(refreshMs, 5_000);
    if (this.#now() - lastMs >= waitMs) await this.#fetch(source, key);
    return this.#kept.get(key) ?? null;
  }

  async #fetch({ service, at }: DocumentSource, key: string): Promise<void> {
    if (at.kind === 'file') return;
    const urls =
      at.kind === 'url' ? [at.url] : this.#instances(service).map((base) => base.replace(/\/$/, '') + at.path);
    let problem = 'the service has no instances';
    for (const url of urls.slice(0, 3)) {
      try {
        const { status, body } = await this.#ask({
          url,
          headers: { accept: 'application/json, application/yaml;q=0.9, */*;q=0.1' },
          timeoutMs: FETCH_TIMEOUT_MS,
          maxBytes: MAX_DOCUMENT_BYTES,
        });
        if (status !== 200) throw new Error(`the response was ${status}`);
        const read = readApiDocument(body);
        if ('problem' in read) throw new Error(read.problem);
        this.#kept.set(key, { document: read.document, atMs: this.#now() });
        this.#failed.delete(key);
        return;
      } catch (error) {
        problem = messageOf(error);
      }
    }
    this.failures++;
    this.#failed.set(key, { problem, atMs: this.#now() });
  }
}

function keyOf(source: DocumentSource): string {
  return JSON.stringify([source.service, source.at]);
}

function withoutPassword(url: string): string {
  const shown = new URL(url);
  shown.password = '';
  shown.username = '';
  shown.search = '';
  return shown.href;
}
