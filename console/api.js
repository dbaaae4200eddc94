/**
 * Talks to the admin API beside the console: relative addresses, so that it works behind any prefix. Keeps what was
 * read last with its age: when the gateway does not answer, the console shows old numbers as old. Used by every page.
 */
import { signal } from './vendor/signals.js';

const HERE = new URL('.', document.baseURI);
/** Behind a gateway that knows its caller the one, with a session of the console's own the other. */
const BY_GATEWAY = new URL('../api', HERE).href;
const BY_SESSION = new URL('api', HERE).href;
let base = BY_SESSION;

/** Who is signed in; null while nobody is, undefined while it is not known. */
export const me = signal(undefined);
/** When the gateway answered last, and whether it does now. */
export const contact = signal({ at: 0, isLost: false });
/** Whether what is shown may be old; changes seldom, while `contact` does with each answer. */
export const isStale = signal(false);
const LOST_AFTER_MS = 10_000;

/** Keeps `isStale` right; returns what ends it. */
export function watchContact() {
  const timer = setInterval(() => {
    const { at, isLost } = contact.peek();
    isStale.value = isLost || Date.now() - at > LOST_AFTER_MS;
  }, 1000);
  return () => clearInterval(timer);
}

/** Points of traffic of the last minutes. */
export const points = signal([]);

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.message ?? body?.error?.message ?? `status ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** `at`: the API to call; default the one that knows us. */
export async function call(method, path, body, headers = {}, at = base) {
  let response;
  try {
    response = await fetch(at + path, {
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
    lost();
    throw new Error('the gateway does not answer');
  }
  heard();
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  const found = isJson ? JSON.parse(text) : text;
  if (response.status === 401 && at === base) me.value = null;
  if (!response.ok) throw new ApiError(response.status, isJson ? found : { message: text });
  return found;
}

/** Something came from the gateway. */
export function heard() {
  contact.value = { at: Date.now(), isLost: false };
  isStale.value = false;
}

/** It does not answer. */
export function lost() {
  contact.value = { ...contact.peek(), isLost: true };
}

export function apiUrl(path) {
  return base + path;
}

/**
 * Server-sent events; returns what ends them. The browser connects again by itself; `state` hears whether it is
 * connected.
 */
export function stream(path, event, listener, state = () => {}) {
  const source = new EventSource(base + path);
  source.addEventListener('open', () => state(true));
  source.addEventListener('error', () => state(false));
  source.addEventListener(event, ({ data }) => listener(JSON.parse(data)));
  return () => source.close();
}

/** Sessions are begun and ended in one place, whichever API is used. */
function session(method, path = '', body = undefined) {
  return call(method, `/session${path}`, body, {}, BY_SESSION);
}

/** A link that signs in once has its secret behind the hash; it leaves the address bar at once. */
export async function signIn() {
  const link = /^#link=([\w-]+)$/.exec(location.hash)?.[1];
  if (link !== undefined) {
    history.replaceState(null, '', '#/');
    await session('POST', '', { link }).catch(() => {});
  }
  await readMe();
}

export async function readMe() {
  let found = null;
  for (const each of [BY_SESSION, BY_GATEWAY]) {
    found = await call('GET', '/me', undefined, {}, each).catch(() => null);
    base = each;
    if (found !== null) break;
  }
  if (found === null) base = BY_SESSION;
  me.value = found;
}

/** How one may sign in here: with accounts or not, and for which domain passkeys are good. */
export function waysIn() {
  return session('GET').catch(() => ({ accounts: false, passkeyDomain: null }));
}

/** Signs in with what is given; what comes back says whether a second factor is needed. */
export async function enter(proof) {
  const found = await session('POST', '', proof);
  if (found.signedIn) await readMe();
  return found;
}

/** Asks the browser's authenticator; null where somebody changed their mind. */
export async function askPasskey(ticket) {
  const options = await session('POST', '/challenge', ticket === undefined ? {} : { ticket });
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const credential = await navigator.credentials.get({ publicKey }).catch((error) => {
    if (error.name === 'NotAllowedError' || error.name === 'AbortError') return null;
    throw error;
  });
  return credential === null ? null : credential.toJSON();
}

export async function signOut() {
  await session('DELETE').catch(() => {});
  me.value = null;
}
