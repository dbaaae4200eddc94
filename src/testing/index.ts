/**
 * The package's `gatehouse/testing`: runs a policy of one's own without a gateway, for one request, with a clock that
 * the test sets. What it does with headers, refusals, throws and time-outs is what the gateway does: it is the same
 * code.
 */
import { FakeClock } from '../base/clock.ts';
import { FAULTS, Fault, messageOf } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/log.ts';
import type { Identity } from '../data/contract/policy.ts';
import { PolicyWatch } from '../data/contract/policy-watch.ts';
import type { UserPolicyDefinition } from '../data/contract/user-policy.ts';
import { RecordingExchange } from '../data/policies/testing.ts';
import { faultReply } from '../data/response/problem.ts';
import { checkedOptions, definitionOf } from '../data/user-policies/definition.ts';
import { guarded } from '../data/user-policies/guarded.ts';
import { HookGuard } from '../data/user-policies/hook-guard.ts';
import { resolveBeside } from '../data/user-policies/resolve-beside.ts';
import { filtered } from './filtered.ts';

export { FakeClock };

/** A list is a body that comes in these pieces. */
export type TestBody = string | Uint8Array | readonly (string | Uint8Array)[];

/** The request; what is left out is a GET of `/` without headers from 192.0.2.1. */
export interface TestRequest {
  readonly method?: string;
  /** With its query: `/orders?limit=5`. */
  readonly url?: string;
  readonly host?: string;
  readonly scheme?: 'http' | 'https';
  readonly address?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly params?: Readonly<Record<string, string>>;
  /** Default: none. */
  readonly body?: TestBody;
  /** Who is calling. Default: nobody. */
  readonly identity?: Partial<Identity> & { readonly subject: string };
}

export interface RunOptions {
  readonly options?: unknown;
  readonly request?: TestRequest;
  /** What the service answers. Default: 200 without headers and body. */
  readonly upstream?: {
    readonly status?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: TestBody;
  };
  readonly clock?: FakeClock;
  /** Milliseconds; in real time. Default: 1,000, as in the configuration. */
  readonly timeout?: number;
  /** The policy's file, for paths in its options. Default: the working directory. */
  readonly file?: string;
}

export interface RunResult {
  /** What the client gets: the policy's own response, an error, or the service's. */
  readonly response: {
    readonly status: number;
    /** Names in lower case. */
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  };
  /** The request as the service gets it, header names in lower case; null when it did not get there. */
  readonly upstreamRequest: { readonly headers: Readonly<Record<string, string>>; readonly body: string } | null;
  /**
   * Why the gateway answered with an error: `policy_refused`, `policy_failed`, `policy_timeout`; null if it did not.
   */
  readonly fault: string | null;
  /** What went to the access log by `logField`. */
  readonly logged: Readonly<Record<string, string | number>>;
  /** What the policy, or the gateway about it, wrote to the log. */
  readonly log: readonly { readonly level: string; readonly message: string; readonly fields: LogFields }[];
}

const PHASES = ['arrival', 'authenticate', 'authorize', 'limit', 'requestHead', 'requestBody'] as const;

/** Rejects when the options do not fit the policy or `create` throws. */
export async function runPolicy<Options>(
  policy: UserPolicyDefinition<Options>,
  run: RunOptions = {},
): Promise<RunResult> {
  const definition = definitionOf({ default: policy });
  const options = await checkedOptions(definition, run.options ?? {});
  const lines: RunResult['log'][number][] = [];
  const clock = run.clock ?? new FakeClock();
  const log = recordingLog(lines, { policy: definition.name });
  const hooks = definition.create(options, { log, clock, resolve: resolveBeside(run.file ?? './policy.ts') });
  const guard = new HookGuard({
    name: definition.name,
    slot: 0,
    watch: new PolicyWatch(),
    log,
    timeoutMs: run.timeout ?? 1_000,
    onBroken: 'fail',
    nowMs: () => clock.monotonicMs(),
    putBack: () => 'it changes what all code of the gateway shares',
  });
  const safe = guarded(hooks, guard);
  const exchange = new RecordingExchange(factsOf(run.request ?? {}));
  let reached = true;
  let body: readonly Uint8Array[] = [];
  const answer = (fault: Fault): void => {
    const made = faultReply(fault, 'problem', null, exchange.requestId, exchange.path, clock.wallMs());
    exchange.fault = fault;
    exchange.status = made.status;
    exchange.upstreamResponse.clear();
    for (const [name, value] of Object.entries(made.headers)) exchange.upstreamResponse.set(name.toLowerCase(), value);
    body = [Buffer.from(String(made.body))];
  };
  let sent: readonly Uint8Array[] = [];
  for (const phase of PHASES) {
    const outcome = await safe[phase]?.(exchange);
    if (outcome === undefined) continue;
    reached = false;
    if (outcome instanceof Fault) answer(outcome);
    else {
      exchange.status = outcome.status;
      for (const [name, value] of Object.entries(outcome.headers))
        exchange.upstreamResponse.set(name.toLowerCase(), value);
      body = [Buffer.from(outcome.body as string | Uint8Array)];
    }
    break;
  }
  if (reached) {
    const passed = await filtered(exchange.requestFilters, piecesOf(exchange, run.request?.body));
    if (passed instanceof Fault) {
      reached = false;
      answer(passed);
    } else sent = passed;
  }
  if (reached) {
    body = piecesIn(run.upstream?.body);
    exchange.responseLength = run.upstream?.body === undefined ? 0 : -1;
    exchange.status = run.upstream?.status ?? 200;
    for (const [name, value] of Object.entries(run.upstream?.headers ?? {}))
      exchange.upstreamResponse.set(name.toLowerCase(), value);
  }
  try {
    safe.responseHead?.(exchange);
    const passed = await filtered(
      exchange.responseFilters.map(({ filter }) => filter),
      body,
    );
    if (passed instanceof Fault) answer(passed);
    else body = passed;
  } catch (error) {
    answer(error instanceof Fault ? error : new Fault(FAULTS.policyFailed, { cause: messageOf(error) }));
  }
  safe.finish?.(exchange);
  hooks.dispose?.();
  return {
    response: { status: exchange.status, headers: responseHeaders(exchange), body: textOf(body) },
    upstreamRequest: reached ? { headers: Object.fromEntries(exchange.upstreamHeaders), body: textOf(sent) } : null,
    fault: exchange.fault?.kind.reason ?? null,
    logged: exchange.logged,
    log: lines,
  };
}

function piecesIn(body: TestBody = []): Uint8Array[] {
  const pieces: readonly (string | Uint8Array)[] =
    typeof body === 'string' || body instanceof Uint8Array ? [body] : body;
  return pieces.map((piece) => Buffer.from(piece));
}

/** In the pieces of the test, unless a hook has replaced it. */
function piecesOf(exchange: RecordingExchange, body: TestBody | undefined): readonly Uint8Array[] {
  const pieces = piecesIn(body);
  return exchange.body.equals(Buffer.concat(pieces)) ? pieces : [exchange.body];
}

function textOf(pieces: readonly Uint8Array[]): string {
  return Buffer.concat(pieces).toString('utf8');
}

function factsOf({
  url = '/',
  identity,
  body,
  ...more
}: TestRequest): ConstructorParameters<typeof RecordingExchange>[0] {
  const [path = '/', query = ''] = url.split('?', 2);
  const rest = { ...more, ...(body === undefined ? {} : { body: Buffer.concat(piecesIn(body)) }) };
  if (identity === undefined) return { ...rest, path, query };
  const known: Identity = {
    method: 'jwt',
    roles: [],
    scopes: [],
    plan: null,
    claims: {},
    upstreamHeaders: {},
    ...identity,
  };
  return { ...rest, path, query, identity: known };
}

function responseHeaders(exchange: RecordingExchange): Record<string, string> {
  const names = new Set([...exchange.upstreamResponse.keys(), ...exchange.downstreamHeaders.keys()]);
  return Object.fromEntries([...names].map((name) => [name, exchange.downstreamHeader(name) ?? '']));
}

function recordingLog(lines: RunResult['log'][number][], bound: LogFields): Logger {
  const write =
    (level: string) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields: { ...bound, ...fields } });
    };
  return {
    level: 'debug',
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => recordingLog(lines, { ...bound, ...fields }),
  };
}
