/**
 * The reference of the configuration, as Markdown, from the JSON Schema alone: for every key its meaning, what values
 * it takes, their range, and its default. Called by generate-reference.ts.
 */
import { formatDuration } from '../src/base/units.ts';
import { formatSize } from '../src/base/zod-units.ts';
import type { JsonSchema } from '../src/control/config/json-schema.ts';

type Links = ReadonlyMap<string, string>;

interface Section {
  /** Such as `services.<name>.instances[]`. */
  readonly at: string;
  readonly schema: JsonSchema;
}

/** A page with one table for each mapping of the document, in the order in which they appear. */
export function configurationPage(root: JsonSchema): string {
  const sections: Section[] = [];
  const links = new Map<string, string>();
  collect(root, '', sections, { links, byContent: new Map() });
  const parts = sections.map(({ at, schema }) => {
    const heading = at === '' ? '## The document' : `${'#'.repeat(depthOf(at))} ${code(at)}`;
    const meaning = at === '' ? undefined : schema.description;
    return [heading, ...(meaning === undefined ? [] : [meaning]), table(at, schema, links)].join('\n\n');
  });
  return [INTRODUCTION, contents(sections), ...parts].join('\n\n').concat('\n');
}

const INTRODUCTION = `# Configuration reference

Every key, made from the schema that the gateway checks a configuration with. How a file is written, and which file is
read, is in [the guide](../guide/configuration.md); environment variables are in [their own list](environment.md).

- A **duration** is \`250ms\`, \`5s\`, \`1.5h\`, \`2d\`, or a bare number of milliseconds.
- A **size** is \`64kb\`, \`10mb\`, \`1gb\` (powers of 1024), or a bare number of bytes.
- A **share** is \`20%\`, or a number from 0 to 1.
- **Default** "none" means that the feature is off until the key is there.`;

function contents(sections: readonly Section[]): string {
  const tops = sections.filter(({ at }) => at !== '' && depthOf(at) === 2);
  return tops.map(({ at }) => `- [${code(at)}](#${anchor(at)})`).join('\n');
}

interface Known {
  /** Where a mapping is described that is the same elsewhere: `routes[].auth` -> `gateway.auth`. */
  readonly links: Map<string, string>;
  readonly byContent: Map<string, string>;
}

/** Every mapping with keys of its own, the outer ones first; of mappings that are the same, the first. */
function collect(schema: JsonSchema, at: string, sections: Section[], known: Known): void {
  const mappings = branches(schema).filter(({ properties }) => properties !== undefined);
  const properties = mergedProperties(mappings);
  if (properties !== undefined) {
    const description = schema.description ?? mappings[0]?.description;
    const required = mappings.length === 1 ? (mappings[0]?.required ?? []) : [];
    const content = JSON.stringify([properties, required]);
    const same = known.byContent.get(content);
    if (same !== undefined) known.links.set(at, same);
    else {
      known.byContent.set(content, at);
      sections.push({ at, schema: { ...(description === undefined ? {} : { description }), properties, required } });
      for (const [key, inner] of Object.entries(properties))
        collect(inner, at === '' ? key : `${at}.${key}`, sections, known);
    }
  }
  // Of a mapping that is described elsewhere too: lists of it are other paths, which links may name.
  for (const branch of branches(schema)) {
    if (typeof branch.additionalProperties === 'object')
      collect(branch.additionalProperties, `${at}.<name>`, sections, known);
    if (branch.items !== undefined) collect(branch.items, `${at}[]`, sections, known);
  }
}

function branches(schema: JsonSchema): readonly JsonSchema[] {
  const inner = schema.anyOf ?? schema.oneOf;
  return inner === undefined ? [schema] : inner.flatMap(branches);
}

/** Keys of all alternatives together: of a key that several have, the constants are joined. */
function mergedProperties(mappings: readonly JsonSchema[]): Record<string, JsonSchema> | undefined {
  if (mappings.length === 0) return undefined;
  const merged: Record<string, JsonSchema> = {};
  for (const { properties } of mappings) {
    for (const [key, schema] of Object.entries(properties ?? {})) {
      const known = merged[key];
      if (known === undefined) merged[key] = schema;
      else if (schema.const !== undefined) {
        const values = [...(known.enum ?? [known.const]), schema.const];
        const { const: _, ...rest } = known;
        merged[key] = { ...rest, enum: values };
      }
    }
  }
  return merged;
}

function table(at: string, { properties = {}, required = [] }: JsonSchema, links: Links): string {
  const rows = Object.entries(properties).map(([key, schema]) => {
    const path = at === '' ? key : `${at}.${key}`;
    const cells = [
      code(key),
      schema.description ?? '',
      valueWords(schema, path, links),
      defaultWords(schema, required.includes(key)),
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  });
  return ['| Key | Meaning | Value | Default |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

export function valueWords(schema: JsonSchema, path: string, links: Links): string {
  const words = branches(schema).map((branch) => oneValue(branch, path, links));
  const constants = words.filter((word) => word.startsWith('`'));
  const others = words.filter((word) => !word.startsWith('`'));
  return [...new Set([...constants, ...others])].join(', or ');
}

function oneValue(schema: JsonSchema, path: string, links: Links): string {
  if (schema.const !== undefined) return code(String(schema.const));
  if (schema.enum !== undefined) return schema.enum.map((value) => code(String(value))).join(', ');
  const unit = schema['x-unit'];
  if (unit !== undefined) return unitWords(unit, schema);
  if (schema.items !== undefined) return `list of ${valueWords(schema.items, `${path}[]`, links)}${countWords(schema)}`;
  if (schema.properties !== undefined) return `mapping: [keys](#${anchor(links.get(path) ?? path)})`;
  if (typeof schema.additionalProperties === 'object') {
    return `mapping of names to ${valueWords(schema.additionalProperties, `${path}.<name>`, links)}`;
  }
  if (schema.type === 'integer') return `whole number${rangeWords(schema)}`;
  if (schema.type === 'number') return `number${rangeWords(schema)}`;
  if (schema.type === 'boolean') return 'true or false';
  if (schema.writeOnly === true) return `secret text${lengthWords(schema)}`;
  if (schema.type === 'string') return 'text';
  return 'anything';
}

function unitWords(unit: string, schema: JsonSchema): string {
  const [name = '', word] = unit.split(' or ');
  const format = name === 'duration' ? formatDuration : name === 'size' ? formatSize : percent;
  const low = schema['x-min'];
  const high = schema['x-max'];
  const range = [
    low === undefined ? '' : `at least ${format(low)}`,
    high === undefined ? '' : `at most ${format(high)}`,
  ];
  const limits = range.filter((part) => part !== '').join(', ');
  const shown = name === 'ratio' ? 'share' : name;
  return `${shown}${limits === '' ? '' : ` (${limits})`}${word === undefined ? '' : `, or ${code(word)}`}`;
}

function percent(ratio: number): string {
  return `${ratio * 100}%`;
}

function rangeWords({ minimum, maximum }: JsonSchema): string {
  const low = minimum === undefined || minimum <= Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const high = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (low !== undefined && high !== undefined) return `, ${low} to ${high}`;
  if (low !== undefined) return `, at least ${low}`;
  return high === undefined ? '' : `, at most ${high}`;
}

function lengthWords({ minLength }: JsonSchema): string {
  return minLength === undefined || minLength <= 1 ? '' : `, at least ${minLength} characters`;
}

function countWords({ maxItems }: JsonSchema): string {
  return maxItems === undefined ? '' : ` (at most ${maxItems})`;
}

export function defaultWords(schema: JsonSchema, isRequired: boolean): string {
  if (isRequired) return 'needed';
  const value = schema.default;
  if (value === undefined) return /\bDefault\b/.test(schema.description ?? '') ? 'see meaning' : 'none';
  if (Array.isArray(value)) return value.length === 0 ? 'empty' : value.map((item) => code(flow(item))).join(', ');
  if (typeof value === 'object' && value !== null) return 'its defaults';
  return value === '' ? 'empty' : code(String(value));
}

/** As YAML writes it in one line. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const members = Object.entries(value).map(([name, member]) => `${name}: ${flow(member)}`);
  return `{ ${members.join(', ')} }`;
}

function code(text: string): string {
  return `\`${text}\``;
}

function depthOf(at: string): number {
  return Math.min(2 + (at.replace(/\.<name>|\[\]/g, '').match(/\./g)?.length ?? 0), 4);
}

/** As forges make it from a heading: lower case, letters, digits, "-" and "_" stay, blanks become "-". */
function anchor(at: string): string {
  return at
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}
