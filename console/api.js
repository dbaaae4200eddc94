/**
 * Talks to the admin API beside the console: relative addresses, so that it works behind any prefix. Keeps what was
 * read last with its age: when the gateway does not answer, the console shows old numbers as old. Used by every page.
 */
import { signal } from './vendor/signals.js';

const BASE = new URL('../api', new URL('.', document.baseURI)).href;

/** Who is signed in; null while nobody is, undefined while it is not known. */
export const me = signal(undefined);
/** When the gateway answered last, and whether it does now. */
export const contact = signal({ at: 0, isLost: false });
/** Points of traffic of the last minutes. */
export const points = signal([]);

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.message ?? body?.error?.message ?? `status ${status}`);
    this.status = status;
    this.body = body;
  }
}

export async function call(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(BASE + path, {
      method,
      credentials: 'same-origin',
      headers: {
        'x-gatehouse-console': '1',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    contact.value = { ...contact.value, isLost: true };
    throw new Error('the gateway does not answer');
  }
  contact.value = { at: Date.now(), isLost: false };
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  const found = isJson ? JSON.parse(text) : text;
  if (response.status === 401) me.value = null;
  if (!response.ok) throw new ApiError(response.status, isJson ? found : { message: text });
  return found;
}

/** Reads `path` now and every `everyMs` into the signal; returns what ends it. */
export function poll(path, into, everyMs) {
  let timer;
  let ended = false;
  const look = async () => {
    try {
      const found = await call('GET', path);
      if (!ended) into.value = found;
    } catch {
      // What was read before stays, and the banner says how old it is.
    }
    if (!ended) timer = setTimeout(look, document.hidden ? everyMs * 5 : everyMs);
  };
  void look();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

/** Server-sent events; returns what ends them. The browser connects again by itself; `state` hears whether it is connected. */
export function stream(path, event, listener, state = () => {}) {
  const source = new EventSource(BASE + path);
  source.addEventListener('open', () => state(true));
  source.addEventListener('error', () => state(false));
  source.addEventListener(event, ({ data }) => listener(JSON.parse(data)));
  return () => source.close();
}

/** A link that signs in once has its secret behind the hash; it leaves the address bar at once. */
export async function signIn() {
  const link = /^#link=([\w-]+)$/.exec(location.hash)?.[1];
  if (link !== undefined) {
    history.replaceState(null, '', '#/');
    await call('POST', '/session', { link }).catch(() => {});
  }
  await readMe();
}

export async function readMe() {
  me.value = await call('GET', '/me').catch(() => null);
}

export async function signOut() {
  await call('DELETE', '/session').catch(() => {});
  me.value = null;
}
