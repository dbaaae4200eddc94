/** Routes: the applications that a signed-in person allowed something, and taking it back. */
import { Hono } from 'hono';
import type { IdentityContext } from '../context.ts';
import { actorOf, type Env } from '../http/actor.ts';
import { notFound } from '../problem.ts';
import { endGrants, grantsOf } from './grants.ts';

export function grantRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();

  app.get('/grants', async (c) => {
    const { user } = await actorOf(context, c);
    return c.json({ grants: await grantsOf(context, user.id) });
  });

  app.delete('/grants/:client', async (c) => {
    const { user, name } = await actorOf(context, c);
    const clientId = c.req.param('client');
    await context.store.transaction(async (trx) => {
      if ((await endGrants(trx, user.id, clientId)) === 0) throw notFound('grant');
      const { address, requestId } = c.get('caller');
      await context.audit.append(trx, {
        actor: name,
        action: 'oauth.grant-ended',
        target: clientId,
        address,
        requestId,
      });
    });
    await context.revocations.announce();
    return c.json({ success: true });
  });

  return app;
}
