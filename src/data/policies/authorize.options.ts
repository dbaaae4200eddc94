/**
 * Options of `authorize` and what they compile to. Expressions and hours are checked here, so that a worker cannot fail
 * on them.
 */
import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { ownScript } from '../../base/own-script.ts';
import { duration } from '../../base/zod-units.ts';
import type { AuthorizerFile } from '../auth/authorize/authorizer.ts';
import { expressionProblem } from '../auth/authorize/expression.ts';
import { checkedText, claimPaths, oneOrMore, roleName } from '../auth/schema-parts.options.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import { compileRequirements, DEFAULT_REALM, requirementShape } from './auth.options.ts';
import type { AuthorizeSettings, HoursSettings } from './authorize.ts';

const expression = () => checkedText(expressionProblem, 'a comparison such as params.userId == auth.sub', 1_000);

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const TIME = /^(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$/;

const span = z
  .strictObject({
    days: z.array(z.enum(DAYS)).min(1).optional().describe('Days of the week. Default: all.'),
    from: z.string().regex(TIME, 'must be a time such as 07:30').describe('From this time on.'),
    to: z
      .string()
      .regex(TIME, 'must be a time such as 20:00')
      .describe('Up to this time; 24:00 is the end of the day.'),
  })
  .check(({ value, issues }) => {
    if (value.from < value.to) return;
    issues.push({
      code: 'custom',
      path: ['to'],
      input: value.to,
      message: 'not after from; write two spans for a night',
    });
  });

const hours = z.strictObject({
  spans: oneOrMore(span, 28).describe('Times of day at which callers may come.'),
  timeZone: z
    .string()
    .max(64)
    .check(({ value, issues }) => {
      try {
        new Intl.DateTimeFormat('en', { timeZone: value });
      } catch {
        issues.push({
          code: 'custom',
          input: value,
          message: 'not a time zone',
          params: { expected: 'a name such as Europe/Berlin' },
        });
      }
    })
    .prefault('UTC')
    .describe('Whose clock it is.'),
  for: z.enum(['children', 'all']).prefault('children').describe('Child accounts only, or everybody.'),
});

const claimValue = z.union([z.string(), z.number(), z.boolean()]);
const years = (most: number) => z.int().min(0).max(most);

const authorizeSchema = z
  .strictObject({
    level: z
      .enum(['public', 'user', 'admin', 'service'])
      .prefault('user')
      .describe(
        '`user`: every authenticated caller. `admin`, `service`: callers with the role of this name. `public`: also anonymous callers.',
      ),
    ...requirementShape,
    claims: z
      .record(
        z
          .string()
          .max(500)
          .regex(/^[^.\s]+(\.[^.\s]+)*$/, 'must be a claim such as tenant or org.tier'),
        z.union([claimValue, z.array(claimValue).min(1).max(100)]),
      )
      .optional()
      .describe(
        'Claims and the values of which each must have one, such as `{ tenant: acme, org.tier: [gold, silver] }`. A name with dots is looked for whole first.',
      ),
    owns: expression()
      .optional()
      .describe(
        'Whose resource it is: `params.userId == auth.sub`. When it is false the answer is 404, as for a resource that does not exist.',
      ),
    ownsExcept: oneOrMore(roleName()).optional().describe('Roles that need not own, such as admin. Default: none.'),
    when: expression()
      .optional()
      .describe('Any other condition on the request and the caller; when it is false the answer is 403.'),
    minAge: years(150).optional().describe('Least age in years, by the claims `age` or `age_band`. Default: any.'),
    unknownAge: z
      .enum(['refuse', 'allow'])
      .prefault('refuse')
      .describe('What `minAge` does with callers whose age is not known. A child is refused either way.'),
    rating: years(21)
      .optional()
      .describe('Age rating of what the route serves; refused when the claim `content_rating` is lower.'),
    ratingFrom: expression()
      .optional()
      .describe(
        'Where the rating is, such as `query.rating`, when it is not the same for all. What has none counts as rated highest.',
      ),
    topics: oneOrMore(
      z
        .string()
        .min(1)
        .max(100)
        .transform((topic) => topic.toLowerCase()),
    )
      .optional()
      .describe('Topics of what the route serves; refused when the claim `blocked_topics` has one of them.'),
    topicFrom: expression().optional().describe('Where the topic is, such as `params.topic`.'),
    hours: hours
      .optional()
      .describe(
        'Hours at which child accounts (or everybody) may call. The hours that a parent sets are in the child’s token itself.',
      ),
    function: z
      .strictObject({
        file: z
          .string()
          .regex(/\.(ts|mts|js|mjs)$/, 'must be a TypeScript or JavaScript module')
          .describe(
            'Module whose default export decides, relative to the configuration file. It runs inside the gateway with all its rights.',
          ),
        timeout: duration({ min: 1, max: 60_000 }).prefault('1s').describe('Longest wait for its decision; then 500.'),
      })
      .optional()
      .describe('A function of your own has the last word: `(request) => true | false | "not-found"`.'),
  })
  .describe('What a caller, once known, may do here.');

export const authorizeOptions = definePolicyOptions({
  key: 'authorize',
  schema: authorizeSchema,
  levels: ['gateway', 'service', 'route'],
  combine: 'all',
  compile(options, context, route) {
    if (options.level !== 'public' && route.isPublic === true) {
      // What the gateway or a service asks of everybody who is known is not asked where nobody is.
      if (context.path[0] !== 'routes') return [];
      context.problem('a public route knows no caller', { expected: 'auth on the route, or level: public' });
    }
    const decide = options.function === undefined ? null : compileFunction(options.function, context);
    if (decide === undefined) return [];
    const settings: AuthorizeSettings = {
      realm: DEFAULT_REALM,
      level: options.level,
      requirements: compileRequirements(options, false),
      claims: Object.entries(options.claims ?? {}).map(([path, values]) => ({
        paths: claimPaths([path]),
        values: Array.isArray(values) ? values : [values],
      })),
      owns: options.owns ?? null,
      ownsExcept: options.ownsExcept ?? [],
      when: options.when ?? null,
      minAge: options.minAge ?? 0,
      unknownAge: options.unknownAge,
      rating: options.rating ?? null,
      ratingFrom: options.ratingFrom ?? null,
      topics: options.topics ?? [],
      topicFrom: options.topicFrom ?? null,
      hours: options.hours === undefined ? null : compileHours(options.hours),
      function: decide,
    };
    return [{ name: 'authorize', options: settings }];
  },
});

function compileHours({ spans, timeZone, for: whom }: z.output<typeof hours>): HoursSettings {
  return {
    timeZone,
    for: whom,
    spans: spans.map(({ days = DAYS, from, to }) => ({
      days: days.map((day) => DAYS.indexOf(day)),
      from: minutesOf(from),
      to: minutesOf(to),
    })),
  };
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}

/** Undefined when the file cannot be used, which then is reported. */
function compileFunction(
  { file, timeout }: { readonly file: string; readonly timeout: number },
  context: OptionContext,
): AuthorizerFile | undefined {
  const at = ['function', 'file'];
  const text = context.readText(file, { at });
  if (text === undefined) return undefined;
  const path = context.resolve(file);
  const problem = loadProblem(path);
  if (problem !== undefined) {
    context.problem(problem, { at });
    return undefined;
  }
  return { file: path, version: hash('sha256', text, 'base64url').slice(0, 16), timeoutMs: timeout };
}

const CHECKER = fileURLToPath(
  new URL(`../auth/authorize/check-authorizer${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

/** Loads the module in a process of its own: a file that cannot be loaded stops the start, not the first request. */
function loadProblem(path: string): string | undefined {
  const { status, stderr } = spawnSync(process.execPath, ownScript(CHECKER, path), {
    encoding: 'utf8',
    timeout: 10_000,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {},
  });
  if (status === 0) return undefined;
  if (status === 3) return 'the default export is no function';
  if (status === 4) return `the file cannot be loaded: ${stderr.split('\n', 1)[0]}`;
  return 'the file did not load within 10 s';
}
