/** HTTP rules of a model to bindings that workers can follow, and what is wrong with rules, each with its method. */
import type { FieldSchema, MessageSchema, ProtoSchema } from '../../base/protobuf/schema.ts';
import { parseTemplate } from '../../data/contract/path-template.ts';
import type { TranscodeBinding } from '../../data/contract/transcode.ts';
import type { HttpRule, MethodModel, ProtoModel, ServiceModel } from './model.ts';

export interface Bindings {
  readonly bindings: readonly TranscodeBinding[];
  readonly problems: readonly string[];
}

export function bindingsOf(model: ProtoModel, services: readonly ServiceModel[], withUnbound: boolean): Bindings {
  const problems: string[] = [];
  const seen = new Map<string, string>();
  const bindings = services.flatMap((service) =>
    service.methods.flatMap((method) => {
      const rpc = `/${service.name}/${method.name}`;
      const isUnbound = method.rules.length === 0 && withUnbound;
      const rules = isUnbound ? [{ verb: 'POST', template: rpc, body: '*', responseBody: '' }] : method.rules;
      return rules.flatMap((rule) => {
        const binding: TranscodeBinding = {
          ...rule,
          rpc,
          input: method.input,
          output: method.output,
          clientStreams: method.clientStreams,
          serverStreams: method.serverStreams,
          ...(method.comment === '' ? {} : { comment: method.comment }),
        };
        const problem = problemOf(model.schema, method, rule) ?? doubleOf(seen, rule, rpc);
        if (problem === null) return [binding];
        problems.push(`${service.name}.${method.name}: "${rule.template}" ${problem}`);
        return [];
      });
    }),
  );
  return { bindings, problems };
}

function problemOf(
  schema: ProtoSchema,
  method: MethodModel,
  { verb, template, body, responseBody }: HttpRule,
): string | null {
  if (!/^[A-Z]+$|^\*$/.test(verb)) return `is bound to the method ${verb}, which is none`;
  let variables: ReturnType<typeof parseTemplate>['variables'];
  try {
    variables = parseTemplate(template).variables;
  } catch (error) {
    return (error as Error).message;
  }
  const input = schema.messages[method.input]!;
  for (const { field } of variables) {
    const found = fieldAt(schema, input, field);
    if (found === null) return `names ${field.join('.')}, which is no field of ${method.input}`;
    const isOne = !found.repeated && found.mapKey === null && (found.kind !== 'message' || isText(found.type));
    if (!isOne) return `names ${field.join('.')}, which is not one value`;
  }
  if (body !== '' && body !== '*' && !input.fields.some(({ name }) => name === body))
    return `has the body ${body}, which is no field of ${method.input}`;
  const output = schema.messages[method.output]!;
  if (responseBody !== '' && !output.fields.some(({ name }) => name === responseBody))
    return `has the response body ${responseBody}, which is no field of ${method.output}`;
  return null;
}

/** Two templates that take the same paths differ in the names of variables only. */
function doubleOf(seen: Map<string, string>, { verb, template }: HttpRule, rpc: string): string | null {
  const { segments, verb: ending } = parseTemplate(template);
  const shape = `${verb} ${segments.map((each) => (each.kind === 'literal' ? `/${each.text}` : `/{${each.kind}}`)).join('')}:${ending}`;
  const other = seen.get(shape);
  seen.set(shape, rpc);
  return other === undefined ? null : `takes the same requests as ${other}`;
}

function fieldAt(schema: ProtoSchema, message: MessageSchema, names: readonly string[]): FieldSchema | null {
  let at: MessageSchema | undefined = message;
  let field: FieldSchema | undefined;
  for (const name of names) {
    field = at?.fields.find((each) => each.name === name);
    if (field === undefined) return null;
    at = schema.messages[field.type];
  }
  return field ?? null;
}

function isText(type: string): boolean {
  return /^google\.protobuf\.(Timestamp|Duration|FieldMask|(Double|Float|U?Int64|U?Int32|Bool|String|Bytes)Value)$/.test(
    type,
  );
}
