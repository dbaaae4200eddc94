/** `match` and `version` of a route: which requests it takes. Compiled by compile/match.ts. */
import * as z from 'zod';
import { hostProblem } from '../../../data/contract/route-pattern.ts';
import { fieldName, method, moment, oneOrMore, pathPattern, regexSource } from './fields.ts';

const hostPattern = z
  .string()
  .transform((name) => name.toLowerCase())
  .check((context) => {
    const problem = hostProblem(context.value);
    if (problem === undefined) return;
    context.issues.push({
      code: 'custom',
      input: context.value,
      message: problem.replace(/^(the host )?"[^"]*" /, ''),
    });
  });

const test = z.union([
  z.string().max(4_096),
  z.strictObject({ equals: z.string().max(4_096).describe('The whole value.') }),
  z.strictObject({ regex: regexSource().describe('A regular expression that matches the whole value.') }),
  z.strictObject({ present: z.boolean().describe('`true`: must be there; `false`: must not be there.') }),
]);

export const match = z
  .strictObject({
    path: z
      .union([
        pathPattern(),
        z.strictObject({
          regex: regexSource().describe(
            'A regular expression that matches the whole path; named groups become parameters.',
          ),
        }),
      ])
      .optional()
      .describe(
        'Path: literal segments, `:name` for one segment, a final `/*` for the rest (also nothing); or `{ regex: ... }`. This or `grpc`.',
      ),
    grpc: z
      .strictObject({
        service: z
          .string()
          .max(500)
          .regex(/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/, 'must be a name such as craft.commits.v1.CommitService')
          .describe('Full name of the gRPC service, with its package.'),
        method: z
          .string()
          .max(200)
          .regex(/^[A-Za-z_]\w*$/, 'must be the name of a method, without its service')
          .optional()
          .describe('Name of one method. Default: all methods of the service.'),
      })
      .optional()
      .describe('Calls of gRPC and gRPC-Web, in place of `path` and `methods`: POST to `/service/method`.'),
    hosts: oneOrMore(hostPattern)
      .optional()
      .describe('Host names; `*.example.com` is any name below. Default: any host.'),
    methods: oneOrMore(method()).optional().describe('Methods. Default: any method.'),
    scheme: z
      .enum(['http', 'https'])
      .optional()
      .describe(
        'Scheme that the caller used: that of the connection, or what a proxy in `trustProxy` says of it. Default: any.',
      ),
    listener: oneOrMore(z.string().min(1).max(100))
      .optional()
      .describe('Names of listeners (`gateway.listeners`) that take the request. Default: any.'),
    headers: z
      .record(fieldName(), test)
      .prefault({})
      .describe(
        'Header fields that must be as said: a text is the whole value; or `{ regex: ... }`, `{ present: true }`.',
      ),
    query: z
      .record(z.string().min(1).max(200), test)
      .prefault({})
      .describe('Query parameters that must be as said; as for `headers`.'),
  })
  .check((context) => {
    const { path, grpc, methods } = context.value;
    const refuse = (key: string, message: string): void => {
      context.issues.push({ code: 'custom', path: [key], input: context.value, message });
    };
    if (path === undefined && grpc === undefined)
      context.issues.push({ code: 'invalid_type', expected: 'string', path: ['path'], input: undefined });
    if (path !== undefined && grpc !== undefined) refuse('grpc', 'says the same as path: one of them');
    if (grpc !== undefined && methods !== undefined) refuse('methods', 'has no effect beside grpc: calls are POST');
  })
  .describe('Which requests the route takes.');

export const version = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(50)
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be a version such as v1 or 2026-01-01')
      .describe('The version, such as `v1`.'),
    by: z
      .union([
        z.literal('path'),
        z.strictObject({ header: fieldName().describe('Header field that holds the version.') }),
        z.strictObject({
          accept: z
            .string()
            .max(200)
            .regex(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/, 'must be a media type such as application/vnd.example+json')
            .describe(
              'Media type in `Accept` that names the version, as in `application/vnd.acme.v2+json` or by its parameter `version`; written without the version.',
            ),
        }),
      ])
      .prefault('path')
      .describe('Where requests name the version; `path`: it is a part of `match.path`.'),
    default: z.boolean().prefault(false).describe('Also takes requests that name no version.'),
    deprecated: moment().optional().describe('Since when the version is deprecated; sent as `Deprecation` (RFC 9745).'),
    sunset: moment().optional().describe('When the version will go away; sent as `Sunset` (RFC 8594).'),
    link: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .optional()
      .describe('Page about it; sent as `Link` with `rel="deprecation"`.'),
  })
  .check((context) => {
    const { deprecated, sunset, link } = context.value;
    const refuse = (key: string, message: string): void => {
      context.issues.push({ code: 'custom', path: [key], input: context.value, message });
    };
    // RFC 9745 §4
    if (deprecated !== undefined && sunset !== undefined && sunset < deprecated)
      refuse('sunset', 'must not be before deprecated');
    if (link !== undefined && deprecated === undefined && sunset === undefined)
      refuse('link', 'needs deprecated or sunset');
  })
  .describe('The version of the API that the route is.');

export type MatchOptions = z.output<typeof match>;
export type VersionOptions = z.output<typeof version>;
export type FieldTestOptions = z.output<typeof test>;
