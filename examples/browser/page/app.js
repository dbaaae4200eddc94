// Tokens lie in cookies that this script cannot read. What it holds is the CSRF token, in memory only.
const ACCOUNT = '/api/auth';
let csrfToken = '';
let live;

/** A call of the own API; when the access token has ended it is refreshed once and the call is made again. */
async function call(method, path, body, isAgain = false) {
  const response = await fetch(path, {
    method,
    headers: { 'X-CSRF-Token': csrfToken, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const isOwn = path.startsWith(`${ACCOUNT}/browser/log`) || path.endsWith('/refresh');
  if (response.status === 401 && !isAgain && !isOwn && (await refresh())) return call(method, path, body, true);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? answer.title ?? `status ${response.status}`);
  return answer;
}

async function refresh() {
  const response = await fetch(`${ACCOUNT}/browser/refresh`, { method: 'POST' });
  if (!response.ok) return false;
  csrfToken = (await response.json()).csrfToken;
  return true;
}

const element = (id) => document.getElementById(id);
const say = (text) => {
  element('status').textContent = text;
};

function add({ by, text }) {
  const item = document.createElement('li');
  item.textContent = `${text} (${by})`;
  element('notes').append(item);
}

async function enter() {
  const session = await call('GET', `${ACCOUNT}/browser/session`);
  csrfToken = session.csrfToken;
  element('sign-in').hidden = true;
  element('write').hidden = false;
  element('notes').replaceChildren();
  for (const note of await call('GET', '/api/notes')) add(note);
  // The browser sends the cookie with the handshake; the gateway takes it from its own pages only.
  live = new WebSocket(`${location.origin.replace('http', 'ws')}/live`);
  live.onmessage = ({ data }) => {
    const { hello, note } = JSON.parse(data);
    if (hello !== undefined) say(`signed in as ${session.user.username}`);
    if (note !== undefined) add(note);
  };
}

function leave(text) {
  csrfToken = '';
  live?.close();
  element('sign-in').hidden = false;
  element('write').hidden = true;
  element('notes').replaceChildren();
  say(text);
}

element('sign-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { username, email, password } = Object.fromEntries(new FormData(event.target));
  try {
    if (event.submitter.name === 'register') await call('POST', `${ACCOUNT}/register`, { username, email, password });
    ({ csrfToken } = await call('POST', `${ACCOUNT}/browser/login`, { username, password }));
    await enter();
  } catch (error) {
    leave(error.message);
  }
});

element('write').addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    await call('POST', '/api/notes', { text: new FormData(event.target).get('text') });
    event.target.reset();
  } catch (error) {
    say(error.message);
  }
});

element('sign-out').addEventListener('click', async () => {
  await call('POST', `${ACCOUNT}/browser/logout`);
  leave('signed out');
});

enter().catch(() => leave('not signed in'));
