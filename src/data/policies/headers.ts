/**
 * `headers`: sets, adds, removes and renames fields of the upstream request and of the response. In this order on each
 * side: rename, remove, set, add; so a field can be renamed and its old name then set anew. Values may hold
 * placeholders (`{request.id}`, `{auth.sub}`, `{params.x}` ...), compiled once. Fields that frame a message, belong to
 * a connection, or say who the caller is are refused by the configuration (headers.options.ts) and not checked again.
 */
import { compileTemplate, constantText, type Template } from '../auth/authorize/template.ts';
import { FieldBlock } from '../contract/field-block.ts';
import { definePolicy, type PolicyHook, type ResponseHook } from '../contract/policy.ts';

export interface HeaderChanges {
  /** Old names (lower case) to new ones. */
  readonly rename: Readonly<Record<string, string>>;
  /** Lower case. */
  readonly remove: readonly string[];
  /** Replaces every copy. */
  readonly set: Readonly<Record<string, string>>;
  /** Beside what is there; in a request joined to it with `, ` (RFC 9110 §5.2). */
  readonly add: Readonly<Record<string, string>>;
}

export interface HeadersSettings {
  readonly request: HeaderChanges | null;
  readonly response: HeaderChanges | null;
}

export const headers = definePolicy<HeadersSettings>({
  name: 'headers',
  phases: ['requestHead', 'responseHead'],
  create({ request, response }) {
    return {
      ...(request !== null && { requestHead: requestHook(request) }),
      ...(response !== null && { responseHead: responseHook(response) }),
    };
  },
});

type Field = readonly [name: string, lower: string, value: Template];

/** Those whose value is always the same, made once; null: none. */
function constantsOf(values: Readonly<Record<string, string>>): FieldBlock | null {
  const constants = Object.entries(values).flatMap(([name, value]): [string, string][] => {
    const text = constantText(value);
    return text === null ? [] : [[name, text]];
  });
  return constants.length === 0 ? null : FieldBlock.of(constants);
}

function fieldsOf(values: Readonly<Record<string, string>>): readonly Field[] {
  return Object.entries(values).map(([name, value]) => [name, name.toLowerCase(), compileTemplate(value)]);
}

function withoutConstants(values: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => constantText(value) === null));
}

function requestHook(changes: HeaderChanges): PolicyHook {
  const renames = Object.entries(changes.rename);
  const constant = constantsOf(changes.set);
  const set = fieldsOf(withoutConstants(changes.set));
  const add = fieldsOf(changes.add);
  return (exchange) => {
    for (const [from, to] of renames) {
      // Not what the client sent: a credential that `auth` took off must not come back under another name.
      const value = exchange.sentUpstream(from);
      exchange.removeUpstreamHeader(from);
      // Absent stays absent, but a copy of the new name that the caller sent must not pose as the renamed one.
      if (value === null) exchange.removeUpstreamHeader(to);
      else exchange.setUpstreamHeader(to, value);
    }
    for (let i = 0; i < changes.remove.length; i++) exchange.removeUpstreamHeader(changes.remove[i]!);
    if (constant !== null) exchange.setUpstreamFields(constant);
    for (const [name, , value] of set) {
      const text = value(exchange);
      if (text === null) exchange.removeUpstreamHeader(name);
      else exchange.setUpstreamHeader(name, text);
    }
    for (const [name, lower, value] of add) {
      const text = value(exchange);
      if (text === null) continue;
      const present = exchange.sentUpstream(lower);
      exchange.setUpstreamHeader(name, present === null ? text : `${present}, ${text}`);
    }
    return undefined;
  };
}

function responseHook(changes: HeaderChanges): ResponseHook {
  const renames = Object.entries(changes.rename);
  const constant = constantsOf(changes.set);
  const set = fieldsOf(withoutConstants(changes.set));
  const add = fieldsOf(changes.add);
  return (exchange) => {
    for (const [from, to] of renames) {
      const value = exchange.responseHeader(from);
      if (value === null) continue;
      exchange.removeResponseHeader(from);
      exchange.setResponseHeader(to, value);
    }
    for (let i = 0; i < changes.remove.length; i++) exchange.removeResponseHeader(changes.remove[i]!);
    if (constant !== null) exchange.setResponseFields(constant);
    for (const [name, , value] of set) {
      const text = value(exchange);
      if (text === null) exchange.removeResponseHeader(name);
      else exchange.setResponseHeader(name, text);
    }
    for (const [name, , value] of add) {
      const text = value(exchange);
      if (text !== null) exchange.addResponseHeader(name, text);
    }
  };
}
