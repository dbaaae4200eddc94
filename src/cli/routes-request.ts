/** The request of `gatehouse routes`, from what was typed; read by the same code as a request from a socket. */
import { Authority, readAuthority, readTarget, Target } from '../data/parser/target.ts';
import type { RouterRequest } from '../data/router/match-result.ts';
import { UsageError } from './command.ts';

/** `url` is a URL, or a path with or without a query. `fields` are `name: value`. Throws a `UsageError`. */
export function readRequest(method: string, url: string, fields: readonly string[]): RouterRequest {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) throw new UsageError(`"${method}" is not a method`);
  const headers = new Map<string, string>();
  for (const field of fields) {
    const colon = field.indexOf(':');
    if (colon < 1) throw new UsageError(`"${field}" is not a header field; write "NAME: VALUE"`);
    const name = field.slice(0, colon).trim().toLowerCase();
    const value = field.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const target = new Target();
  const problem = readTarget(url.replace(/#.*$/, ''), method.toUpperCase(), target);
  if (problem !== undefined) throw new UsageError(`"${url}": ${problem}`);
  const authority = new Authority();
  const named = target.authority ?? headers.get('host') ?? '';
  const wrong = readAuthority(named, authority);
  if (wrong !== undefined) throw new UsageError(`"${named}": ${wrong}`);
  const { path, query } = target;
  return {
    method: method.toUpperCase(),
    host: authority.host,
    path,
    query,
    header: (name) => headers.get(name) ?? null,
  };
}
