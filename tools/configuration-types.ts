/**
 * The configuration as TypeScript, from the JSON Schema alone: what `defineConfig` takes, with the meaning, range and
 * default of each key where an editor shows them. Called by generate-reference.ts.
 */
import type { JsonSchema } from '../src/control/config/json-schema.ts';
import { sharedDefinitions } from '../src/control/config/shared-definitions.ts';
import { defaultWords, valueWords } from './reference-page.ts';

type Referring = JsonSchema & { readonly $ref?: string; readonly $defs?: Readonly<Record<string, Referring>> };

const INTRODUCTION = `/**
 * Written by tools/generate-reference.ts from the schema: change that. What a configuration may say, as it is written;
 * \`N\` are the names that a document gives. The types that people use are in define.ts.
 */

/** Names that a document gives, and its other keys refer to. */
export interface Names {
  readonly services: string;
  readonly issuers: string;
}
`;

/** Parts of the document with a name of their own. */
const NAMED: Readonly<Record<string, string>> = {
  gateway: 'WrittenGateway',
  'services.<name>': 'WrittenService',
  'routes[]': 'WrittenRoute',
};

export function configurationTypes(root: JsonSchema): string {
  const schema = sharedDefinitions(root) as Referring;
  const writer = new Writer(schema.$defs ?? {});
  const document = writer.type(schema, '', '');
  return [INTRODUCTION, ...writer.declarations, `export interface WrittenDocument<N extends Names> ${document}\n`].join(
    '\n',
  );
}

class Writer {
  readonly declarations: string[] = [];
  readonly #definitions: Readonly<Record<string, Referring>>;
  readonly #names = new Map<string, string>();

  constructor(definitions: Readonly<Record<string, Referring>>) {
    this.#definitions = definitions;
  }

  type(schema: Referring, at: string, indent: string): string {
    const name = NAMED[at];
    if (name === undefined) return this.#type(schema, at, indent);
    this.declarations.push(`export interface ${name}<N extends Names> ${this.#type(schema, at, '')}\n`);
    return `${name}<N>`;
  }

  #type(schema: Referring, at: string, indent: string): string {
    if (schema.$ref !== undefined) return this.#reference(schema.$ref.slice('#/$defs/'.length));
    const refers = schema['x-refers-to'];
    if (refers === 'issuers') return `N['issuers'] | 'identity'`;
    if (refers !== undefined) return `N['${refers}']`;
    const choices = schema.anyOf ?? schema.oneOf;
    if (choices !== undefined) return union(choices.map((each) => this.type(each, at, indent)));
    if (schema.enum !== undefined) return union(schema.enum.map((value) => literal(value)));
    if (schema.const !== undefined) return literal(schema.const);
    if (schema.properties !== undefined) return this.#mapping(schema, at, indent);
    if (typeof schema.additionalProperties === 'object' && Object.keys(schema.additionalProperties).length > 0) {
      const inner = this.type(schema.additionalProperties, `${at}.<name>`, indent);
      const givesNames = at === 'services' || at === 'issuers';
      return givesNames ? `Readonly<Record<N['${at}'], ${inner}>>` : `{ readonly [name: string]: ${inner} }`;
    }
    if (schema.items !== undefined) return listOf(this.type(schema.items, `${at}[]`, indent));
    return union([schema.type ?? []].flat().map((type) => PLAIN[type] ?? 'unknown'));
  }

  #mapping(schema: Referring, at: string, indent: string): string {
    const inner = `${indent}  `;
    const lines = Object.entries(schema.properties ?? {}).map(([key, property]) => {
      const isNeeded = schema.required?.includes(key) === true;
      const path = at === '' ? key : `${at}.${key}`;
      const type = this.type(property, path, inner);
      const written = isNeeded ? `${keyOf(key)}: ${type}` : `${keyOf(key)}?: ${type} | undefined`;
      return `${comment(this.#resolved(property), isNeeded, inner)}${inner}readonly ${written};\n`;
    });
    return `{\n${lines.join('')}${indent}}`;
  }

  #resolved(schema: Referring): Referring {
    return schema.$ref === undefined ? schema : this.#definitions[schema.$ref.slice('#/$defs/'.length)]!;
  }

  /** What stands in more than one place is declared once, also where it is in itself. */
  #reference(definition: string): string {
    const schema = this.#definitions[definition]!;
    // The recursive ones differ in their own name only.
    const content = JSON.stringify(schema).replaceAll(`#/$defs/${definition}"`, '#"');
    let name = this.#names.get(content);
    if (name === undefined) {
      const isJson = /^__schema\d+$/.test(definition);
      name = isJson ? 'Json' : `${definition.charAt(0).toUpperCase()}${definition.slice(1)}`;
      if ([...this.#names.values()].includes(name)) throw new TypeError(`two definitions would be called ${name}`);
      if (this.#refers(schema)) name += '<N>';
      this.#names.set(content, name);
      const declared = name.replace('<N>', '<N extends Names>');
      this.declarations.push(`type ${declared} = ${this.#type(schema, '-', '')};\n`);
    }
    return name;
  }

  /** True when names of the document may stand somewhere in it. */
  #refers(value: unknown, seen = new Set<unknown>()): boolean {
    if (typeof value !== 'object' || value === null || seen.has(value)) return false;
    seen.add(value);
    const { $ref } = value as Referring;
    if (typeof $ref === 'string') return this.#refers(this.#resolved(value as Referring), seen);
    return 'x-refers-to' in value || Object.values(value).some((inner) => this.#refers(inner, seen));
  }
}

const PLAIN: Readonly<Record<string, string>> = {
  string: 'string',
  number: 'number',
  integer: 'number',
  boolean: 'boolean',
  null: 'null',
  object: 'Readonly<Record<string, unknown>>',
  array: 'readonly unknown[]',
};

function union(types: readonly string[]): string {
  const hasWord = types.some((type) => type.startsWith("'"));
  // Editors offer the words only while the text beside them is not simply `string`.
  const all = [...new Set(types.map((type) => (hasWord && type === 'string' ? '(string & {})' : type)))];
  return all.length === 0 ? 'unknown' : all.join(' | ');
}

function listOf(item: string): string {
  return / [|&] /.test(item) ? `readonly (${item})[]` : `readonly ${item}[]`;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "\\'")}'` : String(value);
}

function keyOf(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : literal(key);
}

/** Meaning, values and default, as the reference page has them. */
function comment(schema: Referring, isNeeded: boolean, indent: string): string {
  const [values, preset] = [valueWords(schema, '', new Map()), defaultWords(schema, isNeeded)];
  const facts = [
    /[(,]/.test(values) && !/mapping|anything/.test(values) ? `Values: ${values}.` : '',
    preset === 'none' || preset === 'see meaning' || preset === 'needed' ? '' : `Default: ${preset}.`,
  ];
  const text = [schema.description ?? '', ...facts].filter((part) => part !== '').join(' ');
  return text === '' ? '' : `${indent}/** ${text.replaceAll('*/', '* /').replaceAll('\n', ' ')} */\n`;
}
