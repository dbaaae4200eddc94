/**
 * Which request fields choose among the responses of one URL (RFC 9111 §4.1), and their values in one spelling, so that
 * what means the same finds the same: white space and order do not count where the field's own grammar says so.
 */

/** Lower-case names, sorted, each once; empty for none. Does not see `*`, which `mayStore` refuses. */
export function varyNames(value: string | null): string[] {
  if (value === null) return [];
  const names = new Set<string>();
  for (const name of value.split(',')) {
    const trimmed = name.trim().toLowerCase();
    if (trimmed !== '') names.add(trimmed);
  }
  return [...names].sort();
}

/**
 * `value`: all lines joined by commas; null when the request has no such field, which is not the same as an empty one.
 */
export function normalisedValue(name: string, value: string | null): string {
  if (value === null) return '\x00';
  if (name === 'accept-encoding') return acceptEncoding(value);
  if (name === 'accept-language') return weightedList(value);
  return withoutListSpaces(value);
}

/** Codings that anybody sends; what else is asked for makes no difference to any service. */
const KNOWN_CODINGS = ['br', 'gzip', 'zstd'];

/**
 * The known codings that are acceptable, so that ten spellings of "gzip and br" find one response (RFC 9110 §12.5.3).
 */
function acceptEncoding(value: string): string {
  const weights = new Map<string, number>();
  for (const item of value.toLowerCase().split(',')) {
    const [coding, ...parameters] = item.split(';');
    const name = coding!.trim();
    if (name !== '') weights.set(name === 'x-gzip' ? 'gzip' : name, weightOf(parameters));
  }
  const others = weights.get('*') ?? 0;
  const taken = KNOWN_CODINGS.filter((coding) => (weights.get(coding) ?? others) > 0);
  const refusesIdentity = (weights.get('identity') ?? (weights.has('*') ? others : 1)) === 0;
  return `${taken.join(',')}${refusesIdentity ? ';identity=0' : ''}`;
}

/** Tags in lower case by falling weight; of equal weight in the order of the alphabet (RFC 9110 §12.5.4). */
function weightedList(value: string): string {
  const items: { name: string; weight: number }[] = [];
  for (const item of value.toLowerCase().split(',')) {
    const [tag, ...parameters] = item.split(';');
    const name = tag!.trim();
    if (name !== '') items.push({ name, weight: weightOf(parameters) });
  }
  items.sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1));
  return items.map(({ name, weight }) => (weight === 1 ? name : `${name};q=${weight}`)).join(',');
}

function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const [name, value] = parameter.split('=');
    if (name!.trim() !== 'q') continue;
    const weight = Number(value);
    return weight >= 0 && weight <= 1 ? weight : 0;
  }
  return 1;
}

/** White space around commas outside of quoted strings: where the field is no list, it is still only white space. */
function withoutListSpaces(value: string): string {
  if (!value.includes(',')) return value.trim();
  if (!value.includes('"')) return closed(value).trim();
  let isQuoted = false;
  let out = '';
  for (const part of value.split(/(")/)) {
    if (part === '"') isQuoted = !isQuoted;
    out += isQuoted || part === '"' ? part : closed(part);
  }
  return out.trim();
}

/** Without the blanks around commas; in one pass, however many there are. */
function closed(text: string): string {
  const parts = text.split(',');
  const last = parts.length - 1;
  return parts
    .map((part, i) => (i === 0 ? part : part.trimStart()))
    .map((part, i) => (i === last ? part : part.trimEnd()))
    .join();
}
