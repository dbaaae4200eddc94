/** What `transform` does to one value, step by step: the veil, the user's own function, the reshaping. */
import { Fault, messageOf } from '../../base/errors.ts';
import { readQuery } from '../content/parameters.ts';
import {
  compileReshape,
  compileVeil,
  type Reshape,
  type Search,
  type TransformValues,
  type Veil,
} from '../content/reshape.ts';
import type { PolicyContext, PolicyEnvironment } from '../contract/policy.ts';
import type { BodyTransformSettings } from '../contract/transform.ts';
import type { TransformDefinition } from '../contract/user-handler.ts';
import type { AcquiredModule } from '../user-policies/user-policies.ts';
import { UserPolicies } from '../user-policies/user-policies.ts';

export type Changed = Buffer | Fault | null;

export class TransformSteps {
  readonly veil: Veil | null;
  readonly #script: AcquiredModule<TransformDefinition> | null;
  readonly #reshape: Reshape | null;
  readonly #side: 'request' | 'response';
  readonly #environment: PolicyEnvironment;
  readonly #failed: (cause: string) => Fault;

  /** `failed`: the fault of a value that cannot be reshaped. */
  constructor(
    settings: BodyTransformSettings,
    side: 'request' | 'response',
    environment: PolicyEnvironment,
    search: Search | null,
    failed: (cause: string) => Fault,
  ) {
    this.veil = settings.visibility === null ? null : compileVeil(settings.visibility);
    this.#script = settings.script === null ? null : UserPolicies.of(environment).transform(settings.script);
    this.#reshape = settings.reshape === null ? null : compileReshape(settings.reshape, search);
    this.#side = side;
    this.#environment = environment;
    this.#failed = failed;
  }

  /** `whole`: not only the veil. Null leaves the value out. */
  change(value: unknown, exchange: PolicyContext, whole: boolean): Changed | Promise<Changed> {
    let seen: unknown;
    try {
      seen = this.veil === null ? value : this.veil(value, exchange.identity?.roles ?? []);
    } catch (error) {
      return this.#failed(messageOf(error));
    }
    if (!whole) return written(seen);
    if (this.#script === null) return this.#reshaped(seen, exchange);
    const made = this.#run(this.#script, seen, exchange);
    if (!(made instanceof Promise)) return this.#reshaped(made, exchange);
    return made.then((one) => this.#reshaped(one, exchange));
  }

  #run(
    { definition, guard, options, log }: AcquiredModule<TransformDefinition>,
    value: unknown,
    exchange: PolicyContext,
  ): unknown {
    const { requestId, routeId, params, identity, status } = exchange;
    const { clock } = this.#environment;
    const side = this.#side;
    return guard.run(
      side,
      (call) =>
        definition.change(value, {
          options,
          requestId,
          routeId,
          params,
          identity,
          status,
          side,
          log,
          clock,
          get signal() {
            return call.signal;
          },
        }),
      (made) => made,
    );
  }

  #reshaped(value: unknown, exchange: PolicyContext): Changed {
    if (value instanceof Fault) return value;
    if (value === undefined) return null;
    try {
      return written(this.#reshape === null ? value : this.#reshape(value, valuesOf(exchange)));
    } catch (error) {
      return this.#failed(messageOf(error));
    }
  }
}

/** What templates may name of an exchange. */
export function valuesOf(exchange: PolicyContext): TransformValues {
  const { identity } = exchange;
  return {
    params: exchange.params,
    get query() {
      const entries = [...readQuery(exchange.query, [])].filter(([, values]) => values.length === 1);
      return Object.fromEntries(entries.map(([name, values]) => [name, values[0] ?? '']));
    },
    auth:
      identity === null
        ? null
        : {
            sub: identity.subject,
            subject: identity.subject,
            roles: identity.roles,
            scopes: identity.scopes,
            plan: identity.plan,
            method: identity.method,
            claims: identity.claims,
          },
    request: { id: exchange.requestId, method: exchange.method, path: exchange.path },
    header: (name) => exchange.header(name),
  };
}

/** Functions and the like are no JSON. */
function written(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value) ?? 'null', 'utf8');
}
