/** A response made of several: what a caller sees first, whatever is missing left out. */
import { defineHandler, ServiceError } from '../../../src/data/contract/user-policy.ts';

export default defineHandler(async (_request, context) => {
  const [orders, shop] = await Promise.all([
    context.fetch('service:orders/orders?limit=5'),
    // Not worth an error of the whole page.
    context.fetch('service:orders/news').catch((error: unknown) => {
      if (error instanceof ServiceError) return null;
      throw error;
    }),
  ]);
  return Response.json({
    requestId: context.requestId,
    orders: orders.ok ? await orders.json() : [],
    news: shop?.ok === true ? await shop.json() : null,
  });
});
