/**
 * Routes: applications that may use our OAuth provider, made and ended by administrators while it runs. A secret is
 * shown once, when it is made. Applications of the configuration are listed here and changed there.
 */
import { randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import * as z from 'zod';
import { randomSecret } from '../../secrets/random-token.ts';
import { isUniqueViolation } from '../../store/faults.ts';
import { ADMIN_SCOPE } from '../accounts/access.ts';
import { type Actor, requireOwnHands, requireRecentProof } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { adminOf, type Env } from '../http/actor.ts';
import { readBody } from '../http/validate.ts';
import { conflict, invalidField, notFound } from '../problem.ts';
import type { ShownApplication } from '../responses.ts';
import {
  addClient,
  type ClientSettings,
  changeClient,
  findClient,
  listClients,
  MAX_CLIENTS,
  removeClient,
  type StoredClient,
} from './clients.ts';

const ADDRESS =
  'an https address, an http address of this machine (127.0.0.1, [::1]) or one of a scheme such as com.example.app:/';
const address = z.string(ADDRESS).max(500, 'at most 500 characters').refine(isRedirect, { error: ADDRESS });
const addresses = z.array(address, 'a list of addresses').max(20, 'at most 20 addresses');
const name = z
  .string('1 to 100 characters')
  .regex(/^[^\p{Cc}\p{Cf}]{1,100}$/u, '1 to 100 characters, none of them a control character');
const grants = ['authorization_code', 'refresh_token', 'client_credentials', 'device_code'] as const;

const fresh = z.strictObject({
  id: z
    .string('letters, digits, ".", "_" and "-"')
    .regex(/^[A-Za-z0-9._-]{1,100}$/, '1 to 100 letters, digits, ".", "_" and "-"')
    .optional(),
  name,
  public: z.boolean('true or false').default(false),
  redirectUris: addresses.default([]),
  postLogoutRedirectUris: addresses.default([]),
  grants: z
    .array(z.enum(grants, `one of ${grants.join(', ')}`), 'a list of grants')
    .min(1, 'at least one grant')
    .max(grants.length, 'each grant once')
    .default(['authorization_code', 'refresh_token']),
  scopes: field.scopes.default(['openid']),
  mayIntrospect: z.boolean('true or false').default(false),
});

const change = z.strictObject({
  name: name.optional(),
  redirectUris: addresses.optional(),
  postLogoutRedirectUris: addresses.optional(),
  scopes: field.scopes.optional(),
  mayIntrospect: z.boolean('true or false').optional(),
});

/** RFC 8252 §7: what a code may be sent to without anybody else reading it. */
function isRedirect(text: string): boolean {
  if (!URL.canParse(text) || text.includes('#')) return false;
  const { protocol, hostname, username } = new URL(text);
  if (protocol === 'https:') return hostname !== 'localhost' && username === '';
  if (protocol === 'http:') return hostname === '127.0.0.1' || hostname === '[::1]';
  return /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+:$/.test(protocol);
}

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const clientBodies = {
  'POST /admin/oauth/clients': fresh,
  'PATCH /admin/oauth/clients/:id': change,
};

export function clientRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  const { store } = context;
  const configured = context.options.oauth.clients;
  type Ctx = Parameters<typeof adminOf>[1];

  const admin = async (c: Ctx): Promise<Actor> => {
    const actor = await adminOf(context, c, ADMIN_SCOPE);
    if (c.req.method !== 'GET') await requireOwnHands(context, actor);
    return actor;
  };
  const target = async (c: Ctx): Promise<StoredClient> => {
    const id = c.req.param('id') ?? '';
    if (configured.some((each) => each.id === id) && c.req.method !== 'GET') {
      throw conflict('configured_client', 'applications of the configuration are changed there');
    }
    const found = await findClient(context, store.db, id);
    if (found === undefined) throw notFound('application');
    return found;
  };
  const entry = (c: Ctx, actor: Actor, action: string, id: string) => {
    const { address: from, requestId } = c.get('caller');
    return { actor: actor.name, action, target: id, address: from, requestId };
  };
  const secretOf = (): string => `ghc_${randomSecret()}`;

  app.get('/admin/oauth/clients', async (c) => {
    await admin(c);
    const stored = (await listClients(context, store.db)).map(publicClient);
    return c.json({ clients: [...configured.map(configuredClient), ...stored] });
  });

  app.post('/admin/oauth/clients', async (c) => {
    const actor = await admin(c);
    await requireRecentProof(context, actor);
    const {
      public: isPublic,
      id = `app-${randomBytes(9).toString('base64url')}`,
      ...body
    } = await readBody(c.req.raw, clientBodies['POST /admin/oauth/clients']);
    checkTogether({ ...body, isPublic });
    if (configured.some((each) => each.id === id)) throw taken();
    const secret = isPublic ? undefined : secretOf();
    const settings: ClientSettings = { id, ...body, ...(secret === undefined ? {} : { secret }) };
    const made = await store
      .transaction(async (trx) => {
        const stored = await addClient(context, trx, settings, actor.user.id);
        const { count } = await trx
          .selectFrom('oauth_clients')
          .select((eb) => eb.fn.countAll().as('count'))
          .executeTakeFirstOrThrow();
        if (Number(count) > MAX_CLIENTS) throw conflict('too_many_clients', `there are ${MAX_CLIENTS} applications`);
        const detail = { scopes: body.scopes, grants: body.grants };
        await context.audit.append(trx, { ...entry(c, actor, 'oauth-client.created', id), detail });
        return stored;
      })
      .catch((error: unknown) => {
        throw isUniqueViolation(error) ? taken() : error;
      });
    return c.json({ ...publicClient(made), ...(secret === undefined ? {} : { secret }) }, 201);
  });

  app.get('/admin/oauth/clients/:id', async (c) => {
    await admin(c);
    const own = configured.find((each) => each.id === c.req.param('id'));
    return c.json(own === undefined ? publicClient(await target(c)) : configuredClient(own));
  });

  app.patch('/admin/oauth/clients/:id', async (c) => {
    const actor = await admin(c);
    const { settings } = await target(c);
    const body = await readBody(c.req.raw, clientBodies['PATCH /admin/oauth/clients/:id']);
    const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
    const next: ClientSettings = { ...settings, ...given };
    checkTogether({ ...next, isPublic: next.secret === undefined });
    await store.transaction(async (trx) => {
      if (!(await changeClient(context, trx, next))) throw notFound('application');
      const detail = { fields: Object.keys(given) };
      await context.audit.append(trx, { ...entry(c, actor, 'oauth-client.changed', next.id), detail });
    });
    return c.json(publicClient(await target(c)));
  });

  /** A new secret; the old one ends at once, what was given with it lives on. */
  app.post('/admin/oauth/clients/:id/secret', async (c) => {
    const actor = await admin(c);
    await requireRecentProof(context, actor);
    const { settings } = await target(c);
    if (settings.secret === undefined) throw conflict('public_client', 'a public application has no secret');
    const secret = secretOf();
    await store.transaction(async (trx) => {
      if (!(await changeClient(context, trx, { ...settings, secret }))) throw notFound('application');
      await context.audit.append(trx, entry(c, actor, 'oauth-client.secret-changed', settings.id));
    });
    return c.json({ id: settings.id, secret });
  });

  app.delete('/admin/oauth/clients/:id', async (c) => {
    const actor = await admin(c);
    const { settings } = await target(c);
    await store.transaction(async (trx) => {
      if (!(await removeClient(trx, settings.id))) throw notFound('application');
      await context.audit.append(trx, entry(c, actor, 'oauth-client.removed', settings.id));
    });
    return c.json({ success: true });
  });

  return app;
}

/** What no single field can tell; the provider would refuse such an application when it is used. */
function checkTogether(client: {
  readonly isPublic: boolean;
  readonly grants: readonly string[];
  readonly redirectUris: readonly string[];
  readonly mayIntrospect: boolean;
}): void {
  const { isPublic, grants: wanted, redirectUris, mayIntrospect } = client;
  if (new Set(wanted).size !== wanted.length) throw invalidField('grants', 'each grant once');
  if (wanted.includes('authorization_code') !== redirectUris.length > 0) {
    throw invalidField('redirectUris', 'one or more with the grant authorization_code, and none without it');
  }
  if (isPublic && wanted.includes('client_credentials')) {
    throw invalidField('grants', 'no client_credentials: a public application has none');
  }
  if (isPublic && mayIntrospect) throw invalidField('mayIntrospect', 'false: a public application proves nothing');
}

const taken = (): Error => conflict('client_taken', 'an application with this id exists');

function shown(settings: ClientSettings, configured: boolean): ShownApplication {
  const { secret, ...open } = settings;
  return { ...open, public: secret === undefined, configured };
}

const configuredClient = (settings: ClientSettings): ShownApplication => shown(settings, true);

function publicClient({ settings, createdBy, createdAt, updatedAt }: StoredClient): ShownApplication {
  return {
    ...shown(settings, false),
    createdBy,
    createdAt: new Date(createdAt).toISOString(),
    updatedAt: new Date(updatedAt).toISOString(),
  };
}
