import type { Example } from '../run.ts';

export default {
  title: 'Policies of our own, in TypeScript: a tenant from the token, an A/B test by cookie.',
  services: [{ name: 'orders', file: 'services/orders.ts', port: 4111 }],
  configuration: 'gatehouse.yaml',
  port: 8000,
  env: { JWT_SECRET: 'a-secret-of-the-example-that-is-long-enough' },
  tries: [
    'curl -si http://127.0.0.1:8000/shop/orders                 # Set-Cookie: group=a or b',
    `curl -s http://127.0.0.1:8000/shop/orders -H 'Cookie: group=b'`,
    'curl -s http://127.0.0.1:8000/orders                       # 401: no token',
    'curl -s http://127.0.0.1:8000/dashboard                    # one response of two',
    'curl -s http://127.0.0.1:8000/v2/orders                    # in an envelope',
  ],
} satisfies Example;
