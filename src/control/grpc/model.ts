/** What files and descriptor sets say of an API alike: its types, services, methods and HTTP rules. */
import type { EnumSchema, MessageSchema, ProtoSchema } from '../../base/protobuf/schema.ts';

/** One binding of `google.api.http`, additional ones beside the first. */
export interface HttpRule {
  /** `GET`, or the kind of a custom pattern. */
  readonly verb: string;
  readonly template: string;
  /** A field of the request, `*` for all that the path does not name, or empty for none. */
  readonly body: string;
  /** A field of the response, or empty for all of it. */
  readonly responseBody: string;
}

export interface MethodModel {
  readonly name: string;
  /** Full names. */
  readonly input: string;
  readonly output: string;
  readonly clientStreams: boolean;
  readonly serverStreams: boolean;
  readonly deprecated: boolean;
  readonly comment: string;
  readonly rules: readonly HttpRule[];
}

export interface ServiceModel {
  /** Full name. */
  readonly name: string;
  readonly comment: string;
  readonly methods: readonly MethodModel[];
}

export interface ProtoModel {
  readonly schema: ProtoSchema;
  /** Of the files that were named, not of those that they import. */
  readonly services: readonly ServiceModel[];
}

/** Files or descriptors that cannot be used; the message says why, for their author. */
export class ProtoFault extends Error {}

interface RuleOptions {
  readonly [key: string]: unknown;
  readonly body?: string;
  readonly response_body?: string;
  readonly additional_bindings?: RuleOptions | readonly RuleOptions[];
}

const VERBS = ['get', 'put', 'post', 'delete', 'patch'] as const;

/** The option `(google.api.http)`, with names as in its file. */
export function rulesOf(option: unknown): HttpRule[] {
  if (typeof option !== 'object' || option === null) return [];
  const rule = option as RuleOptions;
  const more = rule.additional_bindings ?? [];
  return [...ownRule(rule), ...(Array.isArray(more) ? more : [more]).flatMap(rulesOf)];
}

function ownRule(rule: RuleOptions): HttpRule[] {
  const { body = '', response_body: responseBody = '' } = rule;
  for (const verb of VERBS) {
    const template = rule[verb];
    if (typeof template === 'string') return [{ verb: verb.toUpperCase(), template, body, responseBody }];
  }
  const custom = rule['custom'] as { readonly kind?: string; readonly path?: string } | undefined;
  if (custom?.kind === undefined || custom.path === undefined) return [];
  return [{ verb: custom.kind, template: custom.path, body, responseBody }];
}

/** Collects the types that these messages need, so that a snapshot holds no others. */
export function reachable(schema: ProtoSchema, roots: readonly string[]): ProtoSchema {
  const messages: Record<string, MessageSchema> = {};
  const enums: Record<string, EnumSchema> = {};
  const open = [...roots];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const message = schema.messages[name];
    if (message === undefined || messages[name] !== undefined) continue;
    messages[name] = message;
    for (const { kind, type } of message.fields) {
      if (kind === 'message') open.push(type);
      const found = kind === 'enum' ? schema.enums[type] : undefined;
      if (found !== undefined) enums[type] = found;
    }
  }
  return { messages, enums };
}
