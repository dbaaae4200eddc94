/**
 * The pages that links of letters lead to: from the letter in the mailbox to what it was sent for, on a real socket.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bench, makeBench, PASSWORD } from './harness.ts';
import { complaintAt, headingOf, open, type ReadPage, submit } from './page-reader.ts';

const OTHER = 'seven lamps over the harbour';
const HOSTILE = '"><script>alert(1)</script>';

describe('pages of links', () => {
  let bench: Bench;
  let base: string;

  before(async () => {
    bench = await makeBench({ firstAdmin: 'link', alsoAt: ['/api/v1/auth'], publicUrl: 'https://api.example.com' });
    const { port } = await bench.identity.start({ host: '127.0.0.1', port: 0 });
    base = `http://127.0.0.1:${port}`;
  });
  after(() => bench.close());

  /** The link in a text, at the address that the test can reach. */
  function linkIn(text: string): string {
    const [link = ''] = /https:\S+/.exec(text) ?? [];
    assert.ok(link.startsWith('https://api.example.com/api/auth/pages/'), text);
    return link.replace('https://api.example.com', base);
  }

  async function letterTo(address: string, subject: string): Promise<string> {
    const found = (await bench.mails()).filter((mail) => mail.includes(`To: ${address}\r\n`) && mail.includes(subject));
    return found.at(-1) ?? assert.fail(`no letter to ${address} about ${subject}`);
  }

  async function registered(name: string): Promise<string> {
    const body = { email: `${name}@example.com`, username: name, password: PASSWORD };
    assert.equal((await bench.call('POST', '/register', body)).status, 202);
    return linkIn(await letterTo(body.email, 'confirm'));
  }

  const signIn = async (username: string, password: string): Promise<number> =>
    (await bench.call('POST', '/login', { username, password })).status;

  test('the printed link makes the first administrator, once', async () => {
    const link = linkIn(bench.printed.join('\n'));
    const page = await open(link);
    assert.equal(page.status, 200);
    assert.equal(headingOf(page), 'Create the first administrator');

    const short = await submit(page, { email: 'nonsense', password: 'short', username: '' });
    assert.equal(short.status, 400);
    assert.match(complaintAt(short, 'email'), /an email address such as/);
    assert.ok(short.html.includes('value="nonsense"') && !short.html.includes('short"'), 'no password comes back');
    const weak = await submit(short, { email: 'boss@example.com', password: 'short' });
    assert.equal(weak.status, 400);
    assert.match(complaintAt(weak, 'password'), /at least 10 characters/i);
    assert.match(complaintAt(await submit(weak, { email: 'boss@example.com' }), 'password'), /fill this in/);

    const done = await submit(weak, { email: 'boss@example.com', username: 'boss', password: PASSWORD });
    assert.equal(done.status, 200, done.html);
    assert.equal(headingOf(done), 'You are the administrator');
    const { body } = await bench.call('POST', '/login', { username: 'boss', password: PASSWORD });
    assert.equal((await bench.call('GET', '/admin/users', undefined, body.accessToken)).status, 200);

    const used = await open(link);
    assert.deepEqual([used.status, headingOf(used)], [410, 'This link does not work']);
    const again = await submit(page, { email: 'second@example.com', password: PASSWORD });
    assert.equal(again.status, 410);
    assert.equal(await signIn('second@example.com', PASSWORD), 401);
  });

  test('a registration is confirmed with its password; opening the page uses nothing up', async () => {
    const link = await registered('ada');
    await open(link);
    const page = await open(link);
    assert.equal(page.status, 200);
    assert.ok(page.html.includes('value="ada@example.com" readonly'));
    const wrong = await submit(page, { password: OTHER });
    assert.equal(wrong.status, 403);
    assert.match(complaintAt(wrong, 'password'), /not the password/);
    assert.equal(await signIn('ada', PASSWORD), 401, 'no account yet');
    const done = await submit(wrong, { password: PASSWORD });
    assert.deepEqual([done.status, headingOf(done)], [200, 'Your email address is confirmed']);
    assert.equal(await signIn('ada', PASSWORD), 200);
    assert.equal((await open(link)).status, 410);
    assert.equal((await submit(page, { password: PASSWORD })).status, 410);
  });

  test('who did not choose the password sets another', async () => {
    const page = await open(await registered('bea'));
    const common = await submit(page, { newPassword: 'password123' });
    assert.equal(common.status, 400);
    assert.match(complaintAt(common, 'newPassword'), /common/);
    assert.equal((await submit(common, { newPassword: OTHER })).status, 200);
    assert.equal(await signIn('bea', PASSWORD), 401);
    assert.equal(await signIn('bea', OTHER), 200);
  });

  test('a user name that was taken meanwhile is chosen anew on the page', async () => {
    const first = await open(await registered('cleo'));
    const body = { email: 'late@example.com', username: 'cleo', password: PASSWORD };
    assert.equal((await bench.call('POST', '/register', body)).status, 202);
    const second = await open(linkIn(await letterTo(body.email, 'confirm')));
    assert.equal((await submit(first, { password: PASSWORD })).status, 200);
    const taken = await submit(second, { password: PASSWORD });
    assert.equal(taken.status, 409);
    assert.match(complaintAt(taken, 'username'), /taken/);
    assert.equal((await submit(taken, { username: 'cleopatra', password: PASSWORD })).status, 200);
    assert.equal(await signIn('cleopatra', PASSWORD), 200);
  });

  test('too many wrong passwords end the link', async () => {
    const page = await open(await registered('dora'));
    const statuses: number[] = [];
    for (let i = 0; i < 11; i++) statuses.push((await submit(page, { password: OTHER })).status);
    assert.deepEqual(statuses, [...Array<number>(9).fill(403), 410, 410]);
  });

  test('a change of address is confirmed with the password of the account', async () => {
    const member = await bench.member('emil');
    const change = { email: 'emil.new@example.com', password: PASSWORD };
    assert.equal((await bench.call('POST', '/me/email', change, member.accessToken)).status, 202);
    const page = await open(linkIn(await letterTo(change.email, 'confirm')));
    assert.equal(page.html.match(/<form/g)?.length, 1, 'no other password for an account that exists');
    assert.equal((await submit(page, { password: OTHER })).status, 403);
    assert.equal((await submit(page, { password: PASSWORD })).status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).body.email, change.email);
  });

  test('a forgotten password: asked for, mailed, set, on pages alone', async () => {
    await bench.member('fay');
    const asked = await open(`${base}/api/auth/pages/forgot-password`);
    assert.match(complaintAt(await submit(asked, { email: HOSTILE }), 'email'), /an email address/);
    const sent = await submit(asked, { email: 'fay@example.com' });
    const nobody = await submit(asked, { email: 'nobody@example.com' });
    assert.deepEqual([sent.status, sent.html], [200, nobody.html], 'the answer tells nothing');
    const link = linkIn(await letterTo('fay@example.com', 'new password'));
    const page = await open(link);
    assert.ok(page.html.includes('value="fay@example.com" readonly'));
    const named = await submit(page, { newPassword: 'fay@example.com' });
    assert.equal(named.status, 400);
    assert.match(complaintAt(named, 'newPassword'), /own name/);
    assert.equal((await submit(named, { newPassword: OTHER })).status, 200);
    assert.equal(await signIn('fay', PASSWORD), 401);
    assert.equal(await signIn('fay', OTHER), 200);
    const over = await open(link);
    assert.equal(over.status, 410);
    assert.ok(over.html.includes('href="forgot-password"'), 'and how to get another');
  });

  test('a link that is too old says so', async () => {
    await bench.member('gil');
    assert.equal((await bench.call('POST', '/password/forgot', { email: 'gil@example.com' })).status, 202);
    const link = linkIn(await letterTo('gil@example.com', 'new password'));
    const page = await open(link);
    bench.clock.advance(31 * 60_000);
    assert.equal((await open(link)).status, 410);
    assert.equal((await submit(page, { newPassword: OTHER })).status, 410);
    assert.equal(await signIn('gil', PASSWORD), 200);
  });

  for (const action of ['setup', 'verify-email', 'reset-password']) {
    for (const [name, token] of [
      ['no token', undefined],
      ['a wrong one', 'A'.repeat(43)],
      ['a hostile one', HOSTILE],
      ['a long one', 'A'.repeat(5_000)],
    ] as const) {
      test(`${action} with ${name} is a page with 400`, async () => {
        const query = token === undefined ? '' : `?${new URLSearchParams({ token })}`;
        const page = await open(`${base}/api/v1/auth/pages/${action}${query}`);
        assert.deepEqual([page.status, headingOf(page)], [400, 'This link does not work']);
        assert.ok(!page.html.includes('<form') && !page.html.includes('alert(1)'));
      });
    }
  }

  test('what was typed comes back escaped', async () => {
    const page = await open(await registered('hal'));
    const answer = await submit(page, { newPassword: HOSTILE.repeat(20) });
    assert.equal(answer.status, 400);
    const second = await fetch(new URL('verify-email', page.url), {
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin' },
      body: new URLSearchParams({
        token: new URL(page.url).searchParams.get('token') ?? '',
        password: PASSWORD,
        username: HOSTILE,
      }),
    });
    const html = await second.text();
    assert.equal(second.status, 400);
    assert.ok(html.includes('value="&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;"'), html);
    assert.ok(!html.includes('<script'));
  });

  test('forms of other sites, other kinds of bodies and other paths are refused with a page', async () => {
    const asked = await open(`${base}/api/auth/pages/forgot-password`);
    const values = { email: 'boss@example.com' };
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.example' },
    ] as Record<string, string>[]) {
      const refused = await submit(asked, values, headers);
      assert.deepEqual([refused.status, headingOf(refused)], [403, 'That did not work']);
    }
    const response = await fetch(asked.url, { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } });
    assert.equal(response.status, 415);
    assert.match(response.headers.get('content-type') ?? '', /text\/html/);
    assert.equal((await submit(asked, values, { origin: 'https://api.example.com' })).status, 200);
    assert.equal((await open(`${base}/api/auth/pages/nothing`)).status, 404);
    assert.equal((await fetch(asked.url, { method: 'DELETE' })).status, 404);
    assert.equal((await fetch(asked.url, { method: 'HEAD' })).status, 200);
  });

  test('an address that tried too much gets a page that says so', async (t) => {
    const strict = await makeBench({ lockout: { addressAttempts: 2 } });
    t.after(() => strict.close());
    const { port } = await strict.identity.start({ host: '127.0.0.1', port: 0 });
    const page = `http://127.0.0.1:${port}/api/auth/pages/reset-password`;
    const send = async (): Promise<ReadPage> => {
      const form =
        '<form method="post" action="reset-password"><input type="hidden" name="token" value="AAAAAAAAAA"> name="newPassword"</form>';
      return await submit({ url: page, status: 200, html: form, headers: new Headers() }, { newPassword: OTHER });
    };
    for (const _ of [1, 2]) assert.equal((await send()).status, 400);
    const refused = await open(`${page}?token=AAAAAAAAAA`);
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
  });

  test('a failure is a page too, and no code is ever in the log', async () => {
    const codes = [...(await bench.mails()), ...bench.printed].flatMap((text) => text.match(/(?<=token=)\w+/g) ?? []);
    assert.ok(codes.length > 8, `${codes.length} codes were given out`);
    await bench.identity.context.store.db.schema.dropTable('one_time_codes').execute();
    const failed = await open(`${base}/api/auth/pages/setup?token=${codes.at(-1)}`);
    assert.deepEqual([failed.status, headingOf(failed)], [500, 'That did not work']);
    const log = bench.logged.join('\n');
    assert.match(log, /a request to the identity service failed/);
    for (const code of codes) assert.ok(!log.includes(code), log);
  });
});

test('links lead to the page of an operator who has one, with the code where no server sees it', async (t) => {
  const bench = await makeBench({ firstAdmin: 'link', mail: { linkBase: 'https://app.example.com/account?lang=en' } });
  t.after(() => bench.close());
  const start = 'https://app.example.com/account?lang=en&action=';
  assert.match(bench.printed.join(), new RegExp(`${start.replaceAll('?', '\\?')}setup#token=\\w{43}$`));
  await bench.call('POST', '/register', { email: 'ida@example.com', password: PASSWORD });
  const code = await bench.mailedCode('ida@example.com', 'confirm');
  assert.ok((await bench.mails()).some((mail) => mail.includes(`${start}verify-email#token=${code}\r\n`)));
});

test('links follow the path that the service is mounted at, and their forms with them', async (t) => {
  const bench = await makeBench({ firstAdmin: 'link', basePath: '/people', publicUrl: 'https://api.example.com/' });
  t.after(() => bench.close());
  const [link = ''] = /https:\S+/.exec(bench.printed.join()) ?? [];
  assert.match(link, /^https:\/\/api\.example\.com\/people\/pages\/setup\?token=\w{43}$/);
  const { port } = await bench.identity.start({ host: '127.0.0.1', port: 0 });
  const page = await open(link.replace('https://api.example.com', `http://127.0.0.1:${port}`));
  const done = await submit(page, { email: 'boss@example.com', password: PASSWORD });
  assert.equal(done.url, `http://127.0.0.1:${port}/people/pages/setup`, 'without the code');
  assert.equal(headingOf(done), 'You are the administrator');
});
