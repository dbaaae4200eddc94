/**
 * What the routes make of the requests of an access log: which route takes each, and which requests that were answered
 * well there would find none here. For `gatehouse routes --log` and `gatehouse import --verify`.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { RouteSettings } from '../data/contract/snapshot.ts';
import { RouteMatchResult } from '../data/router/match-result.ts';
import { buildRouter } from '../data/router/router.ts';
import { readRequest, refusalOf } from '../explain-request.ts';
import { counted } from './config-file.ts';

export interface LoggedRequest {
  readonly method: string;
  /** Path, with a query if the log has it. */
  readonly target: string;
  /** Empty where the log does not say. */
  readonly host: string;
  /** What it was answered with; 0 where the log does not say. */
  readonly status: number;
}

export interface Replay {
  readonly requests: number;
  /** Lines that are no request. */
  readonly unread: number;
  /** Requests by the id of the route that takes them. */
  readonly routes: ReadonlyMap<string, number>;
  /** Taken by a route that answers 501, by `METHOD PATH`. */
  readonly closed: ReadonlyMap<string, number>;
  /** Answered below 400 there and refused here: `404 no route matches: GET /x`, with how often. */
  readonly lost: ReadonlyMap<string, number>;
  /** Refused here and there. */
  readonly refused: number;
}

/** Apache and nginx, common and combined, with a host before it or not. */
const COMBINED = /^(?:(\S+?)(?::\d+)? )?\S+ \S+ .*?\[[^\]]*\] "([A-Z][A-Z-]*) (\S+)(?: HTTP\/[\d.]+)?" (\d{3})\b/;
/** Names of fields that programs write in JSON: Gatehouse, Caddy, Kong, nginx and Traefik as people set them up. */
const METHODS = ['method', 'request_method', 'RequestMethod'];
const TARGETS = ['target', 'path', 'uri', 'request_uri', 'RequestPath', 'url'];
const HOSTS = ['host', 'http_host', 'server_name', 'RequestHost'];
const STATUSES = ['status', 'DownstreamStatus', 'response_status'];
/** Different requests that a report names; more are counted. */
const MOST_NAMED = 10_000;

/** Null for a line that is no request. */
export function readLogLine(line: string): LoggedRequest | null {
  if (line.startsWith('{')) return readJsonLine(line);
  const found = COMBINED.exec(line);
  if (found === null) return null;
  const [, before = '', method = '', target = '', status] = found;
  // What stands first is the client's address where no host is written.
  const host = /^[\d.]+$|:/.test(before) || !before.includes('.') ? '' : before;
  return { method, target, host, status: Number(status) };
}

function readJsonLine(line: string): LoggedRequest | null {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
  const request = entry['request'];
  const inner = typeof request === 'object' && request !== null ? (request as Record<string, unknown>) : {};
  const response = entry['response'];
  const answer = typeof response === 'object' && response !== null ? (response as Record<string, unknown>) : {};
  const first = (names: readonly string[]): string => {
    for (const name of names) {
      const value = inner[name] ?? entry[name];
      if (typeof value === 'string' && value !== '') return value;
    }
    return '';
  };
  const method = first(METHODS);
  const target = first(TARGETS);
  if (method === '' || target === '') return null;
  const query = entry['query'] ?? inner['query'];
  const more = typeof query === 'string' && query !== '' && !target.includes('?') ? `?${query}` : '';
  const status = STATUSES.map((name) => entry[name] ?? answer[name]).find((value) => value !== undefined);
  return { method, target: target + more, host: first(HOSTS), status: Number(status ?? 0) || 0 };
}

/** `host`: of requests whose line names none. Rejects when the file cannot be read. */
export async function replayLog(routes: readonly RouteSettings[], file: string, host: string): Promise<Replay> {
  const router = buildRouter(routes);
  const result = new RouteMatchResult();
  const taken = new Map<string, number>();
  const closed = new Map<string, number>();
  const lost = new Map<string, number>();
  let requests = 0;
  let unread = 0;
  let refused = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === '') continue;
    const logged = readLogLine(line);
    if (logged === null) {
      unread++;
      continue;
    }
    requests++;
    const { method, target, status } = logged;
    const name = logged.host || host;
    const at = `${method} ${name}${target.replace(/\?.*$/, '')}`;
    const wasGood = status < 400;
    let refusal: string;
    try {
      router.match(readRequest(method, target, name === '' ? [] : [`host: ${name}`]), result);
      const { route } = result;
      if (route !== null) {
        count(taken, route.id);
        if (answers501(route)) count(closed, at);
        continue;
      }
      const { status: code, reason } = refusalOf(result);
      refusal = `${code} ${reason}`;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      refusal = '400 no request as the gateway reads it';
    }
    if (wasGood) count(lost, `${refusal}: ${at}`);
    else refused++;
  }
  return { requests, unread, routes: taken, closed, lost, refused };
}

function answers501({ action }: RouteSettings): boolean {
  return action.kind === 'respond' && action.response.status === 501;
}

function count(counts: Map<string, number>, name: string): void {
  const key = counts.size < MOST_NAMED || counts.has(name) ? name : 'others';
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** In words, the most frequent first. */
export function replayText({ requests, unread, routes, closed, lost, refused }: Replay, most = 20): string {
  const total = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((sum, n) => sum + n, 0);
  const lines = [
    `${counted(requests, 'request')} of the log, ${total(routes)} taken by ${counted(routes.size, 'route')}`,
  ];
  if (unread > 0) lines.push(`${counted(unread, 'line')} could not be read as a request`);
  if (refused > 0) lines.push(`${refused} refused there and here`);
  const part = (title: string, counts: ReadonlyMap<string, number>): void => {
    if (counts.size === 0) return;
    const sorted = [...counts].sort(([, a], [, b]) => b - a);
    lines.push('', `${title}:`, ...sorted.slice(0, most).map(([name, n]) => `  ${String(n).padStart(7)}  ${name}`));
    if (sorted.length > most) lines.push(`  and ${sorted.length - most} more`);
  };
  part('by route', routes);
  part('closed here (501) until you have written it', closed);
  part('answered there, refused here', lost);
  return `${lines.join('\n')}\n`;
}

export function replayJson(replay: Replay): unknown {
  const { routes, closed, lost } = replay;
  return {
    ...replay,
    routes: Object.fromEntries(routes),
    closed: Object.fromEntries(closed),
    lost: Object.fromEntries(lost),
  };
}

/** Everything that was answered well there is taken by an open route here. */
export function isComplete({ closed, lost }: Replay): boolean {
  return closed.size === 0 && lost.size === 0;
}
