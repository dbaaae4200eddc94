/**
 * One stream of server-sent events for all that is shown: traffic, and what the page at hand reads, again and again at
 * the gateway and sent where it changed. A browser opens six connections to a gateway at a time, for all its tabs; so
 * one that is not seen has none. Where no stream can be had, pages are read by themselves until there is one.
 */
import { apiUrl, call, heard, lost, me, points } from './api.js';

const MOST_POINTS = 300;
const AGAIN_AFTER_MS = 3_000;

/** Who wants to know what a path says: listeners with the milliseconds between two readings, by path. */
const wanted = new Map();
let isOn = false;
let source = null;
/** What the open stream was asked for. */
let asked = null;
let opening;

/** Calls `listener` with `status` and `body` of what `path` says, now and whenever it changes; returns what ends it. */
export function follow(path, listener, everyMs) {
  const listeners = wanted.get(path) ?? new Map();
  wanted.set(path, listeners);
  listeners.set(listener, everyMs);
  refresh();
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && wanted.get(path) === listeners) wanted.delete(path);
    refresh();
  };
}

/** The same into a signal, which keeps what was read last while nothing can be read. */
export function followInto(path, signal, everyMs) {
  const take = ({ status, body }) => {
    if (status === 200) signal.value = body;
  };
  return follow(path, take, everyMs);
}

/** Begins, for whoever is signed in; returns what ends it. */
export function startLive() {
  isOn = true;
  const changed = () => refresh();
  document.addEventListener('visibilitychange', changed);
  refresh();
  return () => {
    isOn = false;
    document.removeEventListener('visibilitychange', changed);
    refresh();
  };
}

/** Soon: a page that goes and one that comes are one change. */
function refresh(delayMs = 0) {
  clearTimeout(opening);
  opening = setTimeout(open, delayMs);
}

function open() {
  const paths = [...wanted.keys()].sort();
  const every = Math.min(60_000, ...[...wanted.values()].flatMap((listeners) => [...listeners.values()]));
  const key = isOn && !document.hidden ? JSON.stringify([paths, every]) : null;
  if (key === asked && source?.readyState !== EventSource.CLOSED) return;
  source?.close();
  source = null;
  asked = key;
  if (key === null) return;
  const query = new URLSearchParams(paths.map((path) => ['read', path]));
  query.set('every', String(Math.max(2, Math.round(every / 1000))));
  query.set('after', String(points.peek().at(-1)?.at ?? 0));
  source = new EventSource(apiUrl(`/page/stream?${query}`));
  const on = (name, take) =>
    source.addEventListener(name, ({ data }) => {
      heard();
      take(JSON.parse(data));
    });
  on('points', ({ points: found }) => addPoints(found));
  on('point', (point) => addPoints([point]));
  on('read', deliver);
  source.addEventListener('error', onError);
}

function addPoints(found) {
  const last = points.peek().at(-1)?.at ?? 0;
  const more = found.filter(({ at }) => at > last);
  if (more.length > 0) points.value = [...points.peek(), ...more].slice(-MOST_POINTS);
}

function deliver({ path, status, body }) {
  if (status === 401) me.value = null;
  else for (const listener of wanted.get(path)?.keys() ?? []) listener({ status, body });
}

/** It broke off, and the browser connects again by itself; or it was refused, and it does not. */
function onError({ currentTarget }) {
  if (currentTarget !== source) return;
  if (source.readyState === EventSource.CLOSED) void readOnce();
  else lost();
}

async function readOnce() {
  // Whether somebody is signed in, too.
  await call('GET', '/me').catch(() => {});
  for (const path of me.peek() === null ? [] : [...wanted.keys()]) {
    const found = await call('GET', path).then(
      (body) => ({ status: 200, body }),
      ({ status, body }) => (status === undefined ? null : { status, body }),
    );
    if (found !== null) deliver({ path, ...found });
  }
  refresh(AGAIN_AFTER_MS);
}
