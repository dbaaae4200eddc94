/**
 * Makes a JSON Schema smaller: what is in it more than once (a policy that may stand on the gateway, on services and on
 * routes) moves to `$defs` and is referred to. Means exactly the same.
 */

/** Smaller ones are shorter where they are. */
const LEAST_LENGTH = 300;

type Json = Record<string, unknown>;

export function sharedDefinitions<Schema extends object>(schema: Schema): Schema {
  const counts = new Map<string, number>();
  const count = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isSchema(value)) {
      const text = JSON.stringify(value);
      const seen = counts.get(text) ?? 0;
      counts.set(text, seen + 1);
      // What is inside of a second copy is in the first one as well.
      if (seen > 0 && text.length >= LEAST_LENGTH) return;
    }
    for (const inner of Object.values(value)) count(inner);
  };
  count(schema);

  const names = new Map<string, string>();
  const definitions: Json = {};
  const replace = (value: unknown, key: string): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((inner) => replace(inner, key));
    const text = isSchema(value) ? JSON.stringify(value) : '';
    if (text.length < LEAST_LENGTH || (counts.get(text) ?? 0) < 2) return inside(value as Json, key);
    let name = names.get(text);
    if (name === undefined) {
      name = freeName(key, definitions);
      names.set(text, name);
      // The name is taken before what is inside asks for one.
      definitions[name] = {};
      definitions[name] = inside(value as Json, key);
    }
    return { $ref: `#/$defs/${name}` };
  };
  const inside = (value: Json, key: string): Json => {
    const isKeyed = (name: string): boolean => name === 'properties' || name === '$defs';
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        if (!isKeyed(name) || typeof inner !== 'object' || inner === null) return [name, replace(inner, key)];
        return [
          name,
          Object.fromEntries(Object.entries(inner).map(([own, schemaOf]) => [own, replace(schemaOf, own)])),
        ];
      }),
    );
  };
  const small = inside(schema as Json, 'document') as Json & { $defs?: Json };
  return { ...small, $defs: { ...small.$defs, ...definitions } } as Schema;
}

/** An object that says something about values, and not a map from names to such. */
function isSchema(value: object): boolean {
  return 'type' in value || 'anyOf' in value || 'oneOf' in value || 'properties' in value;
}

function freeName(key: string, definitions: Json): string {
  let name = key;
  for (let number = 2; name in definitions; number++) name = `${key}${number}`;
  return name;
}
