/** Options of `cors` and what they compile to. */
import * as z from 'zod';
import { durationOrOff } from '../../base/zod-units.ts';
import { headerName, oneOrMore } from '../auth/schema-parts.options.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import type { CorsSettings } from './cors.ts';

/** RFC 6454 §6.2 with an optional `*.` in front of the host: what browsers send, in their one spelling. */
const SITE =
  /^https?:\/\/(\*\.)?(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d{1,5})?$/;

const site = z.union([
  z.literal('*'),
  z
    .string()
    .max(300)
    .regex(SITE, 'must be an origin in lower case such as https://app.example.com, without a slash at its end, or *'),
]);

const corsSchema = z
  .strictObject({
    origins: oneOrMore(site, 1_000).describe(
      'Sites whose pages may read answers: origins such as `https://app.example.com`, `https://*.example.com` for all hosts below, or `*` for all.',
    ),
    methods: oneOrMore(
      z.union([
        z.literal('*'),
        z
          .string()
          .regex(/^[A-Za-z]+$/, 'must be a method')
          .transform((name) => name.toUpperCase()),
      ]),
      50,
    )
      .prefault(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
      .describe('Methods that they may use; `*` for all.'),
    headers: oneOrMore(z.union([z.literal('*'), headerName().transform((name) => name.toLowerCase())]))
      .prefault(['authorization', 'content-type', 'x-api-key', 'x-request-id'])
      .describe('Request fields that they may send; `*` for all but `Authorization`, which must be named.'),
    exposedHeaders: oneOrMore(headerName())
      .prefault([
        'X-Request-ID',
        'RateLimit',
        'RateLimit-Policy',
        'X-RateLimit-Limit',
        'X-RateLimit-Remaining',
        'X-RateLimit-Reset',
        'Retry-After',
      ])
      .describe('Fields of answers that their scripts may read.'),
    credentials: z
      .boolean()
      .prefault(false)
      .describe('Whether cookies and certificates count in their requests. Not with `origins: "*"`.'),
    maxAge: durationOrOff({ max: 86_400_000 })
      .prefault('10m')
      .describe('How long browsers may remember a preflight, at most a day.'),
    privateNetwork: z
      .boolean()
      .prefault(false)
      .describe('Whether public sites may reach this gateway in a private network.'),
    refuseOthers: z
      .boolean()
      .prefault(false)
      .describe(
        'Refuses requests of browsers on other sites with 403, WebSockets too, instead of only not sharing the answer.',
      ),
  })
  .check(({ value, issues }) => {
    if (!value.credentials || !value.origins.includes('*')) return;
    const message = 'any site together with credentials would let every page act as its visitor';
    issues.push({
      code: 'custom',
      path: ['origins'],
      input: value.origins,
      message,
      params: { expected: 'the sites by name' },
    });
  })
  .describe('Which pages of other sites may read answers (CORS).');

/** What gRPC-Web cannot do without: its clients send these and read those. */
const GRPC_WEB_HEADERS = ['content-type', 'x-grpc-web', 'x-user-agent', 'grpc-timeout'];
const GRPC_WEB_EXPOSED = ['grpc-status', 'grpc-message', 'grpc-status-details-bin'];

function asksGrpc(document: OptionContext['document'], names: readonly string[]): boolean {
  const services = document?.['services'] as Readonly<Record<string, { readonly protocol?: string }>> | undefined;
  return names.some((name) => services?.[name]?.protocol === 'grpc');
}

export const corsOptions = definePolicyOptions({
  key: 'cors',
  schema: corsSchema,
  levels: ['gateway', 'service', 'route'],
  compile(options, context, route) {
    const isGrpc = asksGrpc(context.document, route.services);
    const settings: CorsSettings = {
      allowedSites: options.origins,
      methods: options.methods,
      headers: isGrpc ? [...new Set([...options.headers, ...GRPC_WEB_HEADERS])] : options.headers,
      exposedHeaders: isGrpc ? [...new Set([...options.exposedHeaders, ...GRPC_WEB_EXPOSED])] : options.exposedHeaders,
      credentials: options.credentials,
      maxAgeSeconds: Math.floor(options.maxAge / 1_000),
      privateNetwork: options.privateNetwork,
      refuseOthers: options.refuseOthers,
    };
    return [{ name: 'cors', options: settings }];
  },
});
