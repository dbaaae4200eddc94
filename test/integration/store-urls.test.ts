/**
 * Every URL that holds a password: what its client would read in another way, or not at all, is refused by `check` and
 * by a start alike, with the field and what to write, and without any part of the password.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandLine } from '../../src/cli/command-line.suite.ts';

type Document = Readonly<Record<string, unknown>>;

const cluster = { name: 'c', node: 'n' };
const engine = (url: string): Document => ({ events: { engines: { broker: { url } } } });

/** Each field, and the schemes that it takes. */
const FIELDS: readonly (readonly [key: string, schemes: readonly string[], document: (url: string) => Document])[] = [
  ['stores.sql', ['postgres', 'postgresql'], (sql) => ({ stores: { sql }, identity: { enabled: true } })],
  ['cluster.store', ['postgres'], (store) => ({ cluster: { ...cluster, store } })],
  [
    'cluster.election.nats.url',
    ['nats', 'tls'],
    (url) => ({ cluster: { ...cluster, store: 'sqlite:./c.db', election: { nats: { url } } } }),
  ],
  ['events.store', ['postgres'], (store) => ({ events: { store } })],
  ['events.engines.broker.url', ['nats', 'amqp', 'amqps', 'kafka', 'kafka+tls'], engine],
  ['identity.store', ['postgres'], (store) => ({ identity: { enabled: true, store } })],
  ['identity.mail.smtp', ['smtp', 'smtps'], (smtp) => ({ identity: { enabled: true, mail: { smtp } } })],
];

/** Fields of Redis, whose URLs have a reader of their own: the last `@` ends the password (src/base/redis.ts). */
const REDIS_FIELDS: readonly (readonly [key: string, document: (url: string) => Document])[] = [
  ['stores.redis', (redis) => ({ stores: { redis } })],
  ['events.engines.broker.url', engine],
];

/** Passwords as they are pasted, each with what is said of it. */
const PASSWORDS: readonly (readonly [password: string, wanted: RegExp])[] = [
  ['Hush/Quiet', /cannot be read as a URL .* as %40 %2F/],
  ['Hush?Quiet', /cannot be read as a URL .* as %40 %2F/],
  ['Hush#Quiet', /cannot be read as a URL .* as %40 %2F/],
  // The client would look for a host of the name Quiet.
  ['Hush@Quiet/More', /has an @ behind the host; .* as %40 %2F/],
  ['12/Quiet', /has an @ behind the host; .* as %40 %2F/],
  ['Hush%Quiet', /has a bare % in the user name or password; .* %25/],
];

test('check and start refuse the same, name the field and show nothing of the password', async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  const file = join(cli.folder, 'gatehouse.json');
  for (const [key, schemes, document] of FIELDS)
    for (const scheme of schemes)
      for (const [password, wanted] of PASSWORDS) {
        const gateway = { port: 0, host: '127.0.0.1', workers: 1 };
        const routes = [{ match: { path: '/' }, respond: { body: 'x' }, auth: 'public' }];
        writeFileSync(
          file,
          JSON.stringify({ gateway, routes, ...document(`${scheme}://ada:${password}@127.0.0.1:1/b`) }),
        );
        // A start reads the file as `check` does: one a field shows that it asks too.
        for (const command of password === PASSWORDS[0]?.[0] ? ['check', 'start'] : ['check']) {
          const { code, out, err } = await cli.run(command);
          const said = out + err;
          const where = `${command} ${key} ${scheme} ${password}: ${said}`;
          assert.equal(code, 1, where);
          assert.ok(said.includes(`${key}: `), where);
          assert.match(said, wanted, where);
          assert.doesNotMatch(said, /Hush|Quiet|More|12\//, where);
        }
      }
});

test('a password that is written as it should be, or is unambiguous, passes', async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  const file = join(cli.folder, 'gatehouse.json');
  for (const [key, schemes, document] of FIELDS)
    for (const scheme of schemes)
      for (const password of ['a%40b%2Fc%25', 'a@b', 'plain']) {
        writeFileSync(file, JSON.stringify({ routes: [], ...document(`${scheme}://ada:${password}@db.internal:5/b`) }));
        const { out, err } = await cli.run('check');
        assert.ok(!(out + err).includes(`${key}: `), `${key} ${scheme} ${password}: ${out}${err}`);
      }
});

test('a password for Redis passes as it is pasted; what is wrong beside it is said without it', async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  const file = join(cli.folder, 'gatehouse.json');
  const check = async (document: Document): Promise<string> => {
    writeFileSync(file, JSON.stringify({ routes: [], ...document }));
    const { out, err } = await cli.run('check');
    return out + err;
  };
  for (const [key, document] of REDIS_FIELDS)
    for (const scheme of ['redis', 'rediss'])
      for (const [password] of PASSWORDS) {
        const url = `${scheme}://ada:${password}@db.internal:5/`;
        const taken = await check(document(`${url}1`));
        assert.ok(!taken.includes(`${key}: `), `${url}1: ${taken}`);
        const refused = await check(document(`${url}one`));
        assert.ok(refused.includes(`${key}: the database of the Redis URL must be a number`), `${url}one: ${refused}`);
        assert.doesNotMatch(refused, /Hush|Quiet|More|12\//, `${url}one`);
      }
});
