/**
 * One entry of `routes`: a match, exactly one action, and what is done on the way. That there is exactly one action is
 * checked by crosschecks.ts, on the document as written, so that it is reported beside all other problems. Compiled by
 * compile/route.ts.
 */
import * as z from 'zod';
import { duration, ratio, size, sizeOrUnlimited } from '../../../base/zod-units.ts';
import { aggregateSchema } from '../../../data/aggregate/aggregate.options.ts';
import { handlerSchema } from '../../../data/policies/handler.options.ts';
import { ticketSchema } from '../../../data/policies/ticket.options.ts';
import { transcodeSchema } from '../../grpc/transcode-schema.ts';
import { extensionShape, policiesAt } from './extensions.ts';
import {
  cookieName,
  fieldName,
  fieldValue,
  oneOrMore,
  pathPattern,
  regexSource,
  requestBuffer,
  serviceReference,
} from './fields.ts';
import { match, version } from './match.ts';
import { fixedResponse } from './response.ts';

const target = z.strictObject({
  service: serviceReference().describe('Name of the service.'),
  weight: z.number().min(0).max(1_000_000).prefault(1).describe('Share of the traffic, against the other weights.'),
});

const location = z
  .string()
  .min(1)
  .max(4_096)
  .regex(/^[\x21-\x7e]+$/, 'must be a URL or a path; percent-encode blanks and other characters');

const redirect = z.union([
  location,
  z.strictObject({
    location: location.describe(
      'Target: a URL or a path. `:name` stands for a parameter of the match, `{path}`, `{query}`, `{search}` (the query with its `?`), `{host}` (with its port) and `{hostname}` for those of the request.',
    ),
    status: z.literal([301, 302, 303, 307, 308]).prefault(308).describe('Status of the answer.'),
  }),
]);

const prefix = z
  .string()
  .max(2_048)
  .regex(/^(\/[^/\s?#]+)+$/, 'must be a path such as /api/v1, without a slash at its end');

const prefixOrAll = z.union([z.literal('/'), prefix]);

const responseRewrite = z
  .union([
    z.literal('off'),
    z.strictObject({
      paths: z
        .record(prefixOrAll, prefixOrAll)
        .prefault({})
        .describe(
          'More prefixes of paths as the service says them, and as clients know them: `{ /internal: /shop }`. The longest that fits counts; `/` fits all.',
        ),
      hosts: z
        .array(
          z
            .string()
            .min(1)
            .max(255)
            .regex(/^[A-Za-z0-9.[\]:_-]+$/, 'must be a host, with its port where it has one')
            .transform((host) => host.toLowerCase()),
        )
        .max(100)
        .prefault([])
        .describe('More hosts by which the service names itself, beside its instances and `host`.'),
    }),
  ])
  .describe(
    'Puts right what responses say of the service’s own URLs: `Location`, `Content-Location`, `Refresh`, `Path` and `Domain` of cookies. Without it this is done for what the gateway took off or put before the path, and for hosts that clients do not know; `off` lets them pass as they came.',
  );

const rewrite = z
  .strictObject({
    stripPrefix: prefix.optional().describe('Taken off the front of the path.'),
    addPrefix: prefix.optional().describe('Put before the path.'),
    path: pathPattern()
      .optional()
      .describe('The whole new path; `:name` and a final `*` stand for what `match.path` matched.'),
    regex: z
      .strictObject({
        pattern: regexSource().describe('A regular expression that matches the whole path.'),
        replacement: z
          .string()
          .max(2_048)
          .regex(/^[^?#]*$/, 'must be a path without "?" and "#": transform.request.query changes the query')
          .describe('What is put there; `$1` is the first group.'),
      })
      .optional()
      .describe('Replaces a part of the path.'),
    host: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe('`Host` of the upstream request; wins over `host` of the service.'),
    response: responseRewrite.optional(),
  })
  .check((context) => {
    const { path, stripPrefix } = context.value;
    if (path === undefined || stripPrefix === undefined) return;
    context.issues.push({
      code: 'custom',
      path: ['stripPrefix'],
      input: stripPrefix,
      message: 'has no effect beside path',
    });
  })
  .describe(
    'Changes the path and the host before the request is sent on. In this order: `path` or `stripPrefix`, `regex`, `addPrefix`.',
  );

const splitRule = (name: z.ZodString, value: z.ZodString, what: string) =>
  z.strictObject({
    name: name.describe(`Name of the ${what}.`),
    value: value.describe('Its whole value.'),
    service: serviceReference().describe('Service of the list that then gets the request.'),
  });

const split = z
  .strictObject({
    headers: z
      .array(splitRule(fieldName(), fieldValue(), 'header field'))
      .max(100)
      .prefault([])
      .describe('Requests with this header go to this service.'),
    cookies: z
      .array(splitRule(cookieName(), z.string().max(4_096), 'cookie'))
      .max(100)
      .prefault([])
      .describe('Requests with this cookie go to this service.'),
    sticky: z
      .strictObject({
        cookie: cookieName().prefault('gatehouse_split').describe('Name of the cookie.'),
        ttl: duration({ min: 1_000 }).prefault('1h').describe('How long the cookie lives.'),
      })
      .optional()
      .describe('Keeps a caller on the service that it got first.'),
  })
  .describe('How a weighted list of services is chosen from, beyond the weights.');

const mirror = z
  .strictObject({
    service: serviceReference().describe('Service that gets the copies; its responses are thrown away.'),
    ratio: ratio().prefault('100%').describe('Share of the requests that are copied.'),
    maxBodySize: size({ max: 64 * 1024 ** 2 })
      .prefault('64kb')
      .describe('Requests with larger bodies are not copied.'),
  })
  .describe('Sends a copy of requests to another service.');

const allowed = (what: string) => z.boolean().prefault(false).describe(what);

const pathForms = z.strictObject({
  strict: allowed(
    'Refuses every form that could be read in two ways with 400, also where no other route is concerned, and bytes that came unencoded.',
  ),
  allowDotSegments: allowed('Lets `.` and `..` segments through instead of answering 400.'),
  allowEncodedSlash: allowed('`%2F` is data to the service: it is never read as a slash.'),
  allowEncodedBackslash: allowed('`%5C` and a backslash are data to the service.'),
  allowEncodedDot: allowed('With `strict`: lets `%2E` through.'),
  allowDoubleSlash: allowed('`//` is data to the service: slashes are never merged.'),
});

const pathSafety = z
  .union([z.literal('strict').transform(() => pathForms.parse({ strict: true })), pathForms])
  .prefault({})
  .describe(
    'Forms of a path that a service could read in another way than the gateway does. They pass unless another reading belongs to another route; `strict` refuses them all. Security: allow only what the service needs.',
  );

/** `public`, and what the authentication policy takes if the catalogue has one. */
function authSchema() {
  const policy = policiesAt('route').find(({ key }) => key === 'auth');
  const meaning = 'Who may call. `public`: anybody.';
  if (policy === undefined) return z.literal('public').optional().describe(meaning);
  return z
    .union([z.literal('public'), policy.schema])
    .optional()
    .describe(policy.schema.description ?? meaning) as never;
}

/** What is known to work as a tunnel of bytes: `tcp` is Docker's, `spdy/3.1` that of Kubernetes. */
const TUNNEL_PROTOCOLS = ['websocket', 'tcp', 'spdy/3.1'] as const;

const core = {
  name: z
    .string()
    .max(200)
    .regex(/^[A-Za-z0-9][A-Za-z0-9 ._/-]*$/, 'must be a name of letters, digits, blanks, ".", "_", "/" and "-"')
    .optional()
    .describe('Name in logs and metrics; keeps counts together when the match changes. Default: made from `match`.'),
  match,
  priority: z
    .int()
    .min(-1_000_000)
    .max(1_000_000)
    .prefault(0)
    .describe('Higher goes first among routes that could take the same request; then the more exact match does.'),
  version: version.optional(),
  service: z
    .union([serviceReference(), z.array(target).min(1).max(100)])
    .optional()
    .describe('Action: sends the request to a service, or to one of a list `[{ service, weight }]`.'),
  respond: fixedResponse.optional().describe('Action: answers by itself.'),
  redirect: redirect.optional().describe('Action: redirects; a text is the location.'),
  aggregate: aggregateSchema.optional(),
  handler: handlerSchema.optional(),
  ticket: ticketSchema.optional(),
  builtin: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe('Action: sends the request to a service of the gateway itself, such as `ops`.'),
  auth: authSchema(),
  split: split.optional(),
  rewrite: rewrite.optional(),
  mirror: mirror.optional(),
  transcode: transcodeSchema.optional(),
  maxRequestSize: sizeOrUnlimited()
    .optional()
    .describe('Largest request body; `unlimited` is possible. Default: `gateway.maxRequestSize`.'),
  requestBuffer: requestBuffer()
    .optional()
    .describe('How much of the request body is here before a service is asked. Default: `requestBuffer` of the service. `off` for routes whose requests are streams.'),
  pathSafety,
  upgrades: z
    .union([
      z.literal('off').transform(() => []),
      oneOrMore(
        z
          .string()
          .transform((token) => token.toLowerCase())
          .pipe(z.enum(TUNNEL_PROTOCOLS)),
      ),
    ])
    .optional()
    .describe(
      'Protocols that `Upgrade` may open a tunnel for. Default: `websocket` on routes to services, `off` on others. An upgrade to anything else is ignored (RFC 9110 §7.8).',
    ),
};

export const routeSchema = z.strictObject({ ...core, ...(extensionShape('route', Object.keys(core)) as object) });
export type RouteOptions = z.output<z.ZodObject<typeof core, z.core.$strict>>;
export type RouteInput = z.input<z.ZodObject<typeof core, z.core.$strict>>;
