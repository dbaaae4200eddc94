/**
 * From a loaded module to a checked policy: is the default export made with `definePolicy`, and do the options from the
 * configuration fit its schema. Used by workers before they apply a snapshot, and by `gatehouse check` in a process of
 * its own (check-policy.ts).
 */
import { messageOf } from '../../base/errors.ts';
import { compileSchema, schemaProblem } from '../content/json-schema.ts';
import type { HandlerDefinition, TransformDefinition } from '../contract/user-handler.ts';
import { MODULE_KIND } from '../contract/user-handler.ts';
import type { JsonSchema, StandardSchema, UserPolicyDefinition } from '../contract/user-policy.ts';

/** Something is wrong with the file (`path` null) or with an option (`path` in the options). */
export class PolicyError extends Error {
  readonly path: readonly (string | number)[] | null;
  readonly expected: string | undefined;

  constructor(message: string, path: readonly (string | number)[] | null = null, expected?: string) {
    super(message);
    this.path = path;
    this.expected = expected;
  }
}

export function definitionOf(module: Readonly<Record<string, unknown>>): UserPolicyDefinition<unknown> {
  const found = module['default'];
  const { name, create } = (typeof found === 'object' && found !== null ? found : {}) as Partial<
    UserPolicyDefinition<unknown>
  >;
  if (typeof create !== 'function')
    throw new PolicyError('the default export is not made with definePolicy({ name, create })');
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]{0,63}$/.test(name))
    throw new PolicyError(`the policy has no usable name: ${JSON.stringify(name)}; it needs one such as my-policy`);
  return found as UserPolicyDefinition<unknown>;
}

export type ModuleKind = 'policy' | 'handler' | 'transform';

const MADE_WITH = { handler: 'defineHandler', transform: 'defineTransform' } as const;

export function handlerOf(module: Readonly<Record<string, unknown>>): HandlerDefinition {
  return functionOf(module, 'handler') as HandlerDefinition;
}

export function transformOf(module: Readonly<Record<string, unknown>>): TransformDefinition {
  return functionOf(module, 'transform') as TransformDefinition;
}

function functionOf(module: Readonly<Record<string, unknown>>, kind: 'handler' | 'transform'): object {
  const found = module['default'] as Readonly<Record<PropertyKey, unknown>> | null | undefined;
  if (typeof found !== 'object' || found === null || found[MODULE_KIND] !== kind)
    throw new PolicyError(`the default export is not made with ${MADE_WITH[kind]}(...)`);
  if (typeof found[kind === 'handler' ? 'handle' : 'change'] !== 'function')
    throw new PolicyError(`${MADE_WITH[kind]} was given no function`);
  return found;
}

/** Whatever it is: what must hold of its options. */
export function schemaOf(module: Readonly<Record<string, unknown>>, kind: ModuleKind): WithSchema {
  if (kind === 'policy') return definitionOf(module);
  return kind === 'handler' ? handlerOf(module) : transformOf(module);
}

type WithSchema = { readonly options?: StandardSchema<unknown> | JsonSchema | undefined };

/** The options as `create` gets them. Throws a `PolicyError` for the first that does not fit. */
export async function checkedOptions(definition: WithSchema, options: unknown): Promise<unknown> {
  const { options: schema } = definition;
  if (schema === undefined) return options;
  if (typeof schema === 'object' && '~standard' in schema)
    return byStandard(schema as StandardSchema<unknown>, options);
  const problem = schemaProblem(schema as JsonSchema);
  if (problem !== undefined) throw new PolicyError(`the schema of the options is not usable: ${problem}`);
  const check = await compileSchema(schema as JsonSchema);
  const [violation] = check(options) ?? [];
  if (violation === undefined) return options;
  throw new PolicyError('does not fit the policy', pathOf(violation.field), violation.expected);
}

interface StandardResult {
  readonly value?: unknown;
  readonly issues?: readonly {
    readonly message: string;
    readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
  }[];
}

function byStandard(schema: StandardSchema<unknown>, options: unknown): unknown {
  let result: unknown;
  try {
    result = schema['~standard'].validate(options);
  } catch (error) {
    throw new PolicyError(`the schema of the options fails: ${messageOf(error)}`);
  }
  if (result instanceof Promise) throw new PolicyError('the schema of the options must not be asynchronous');
  const { value, issues } = result as StandardResult;
  const issue = issues?.[0];
  if (issue === undefined) return value;
  const path = (issue.path ?? []).map((step) => (typeof step === 'object' ? step.key : step));
  throw new PolicyError(issue.message, path as (string | number)[]);
}

/** A JSON Pointer (RFC 6901) as keys. */
function pathOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}
