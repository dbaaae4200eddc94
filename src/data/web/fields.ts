/**
 * The web's `Headers` for requests to handlers and responses of theirs, without what makes the runtime's own expensive.
 * Fields lie in two short lists and are read from the exchange when somebody asks for one. Whatever takes a `Headers`
 * takes one of these: it is iterable, and `instanceof Headers` holds.
 */
import { isFieldName } from '../contract/field-block.ts';

/** Names as they came and values; of one name there may be several. */
export interface FieldSource {
  readonly names: readonly string[];
  readonly values: readonly string[];
}

export interface FieldOrigin {
  fields(): FieldSource;
}

const COOKIE = 'set-cookie';
const NO_VALUE = /[\0\r\n\u0100-\uffff]/;

export class WebFields {
  /** In lower case; each once, except `set-cookie`. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  /** Where they come from, until somebody looks. */
  #origin: FieldOrigin | null;

  constructor(origin: FieldOrigin | null = null) {
    this.#origin = origin;
  }

  /** Of whatever `new Headers` takes. Throws a TypeError as that does. */
  static of(init: unknown): WebFields {
    const fields = new WebFields();
    fields.#fill(init);
    return fields;
  }

  /** The runtime's own class, for what is only done rarely. */
  static become(native: typeof Headers): void {
    Object.setPrototypeOf(WebFields.prototype, native.prototype);
  }

  #fill(init: unknown): void {
    if (init === undefined) return;
    if (typeof init !== 'object' || init === null) throw new TypeError('the fields are neither a list nor an object');
    if (init instanceof WebFields) {
      init.load();
      for (let i = 0; i < init.#names.length; i++) this.#put(init.#names[i]!, init.#values[i]!);
      return;
    }
    if (typeof (init as Iterable<unknown>)[Symbol.iterator] !== 'function') {
      for (const name of Object.keys(init)) this.append(name, (init as Record<string, string>)[name]!);
      return;
    }
    for (const pair of init as Iterable<Iterable<string>>) {
      const [name, value, ...more] = pair;
      if (name === undefined || value === undefined || more.length > 0)
        throw new TypeError('a field is a pair of name and value');
      this.append(name, value);
    }
  }

  /** Reads what is still at its source. */
  load(): void {
    const origin = this.#origin;
    if (origin === null) return;
    this.#origin = null;
    const { names, values } = origin.fields();
    for (let i = 0; i < names.length; i++) this.add(names[i]!.toLowerCase(), values[i]!);
  }

  get count(): number {
    return this.#names.length;
  }

  nameAt(index: number): string {
    return this.#names[index]!;
  }

  valueAt(index: number): string {
    return this.#values[index]!;
  }

  /** `name` in lower case; both passed a parser. */
  add(name: string, value: string): void {
    const at = name === COOKIE ? -1 : this.#names.indexOf(name);
    if (at < 0) this.#put(name, value);
    else this.#values[at] = `${this.#values[at]}${name === 'cookie' ? '; ' : ', '}${value}`;
  }

  #put(name: string, value: string): void {
    this.#names.push(name);
    this.#values.push(value);
  }

  #drop(name: string): void {
    for (let i = this.#names.length - 1; i >= 0; i--) {
      if (this.#names[i] !== name) continue;
      this.#names.splice(i, 1);
      this.#values.splice(i, 1);
    }
  }

  // --- Headers ---------------------------------------------------------------------------------------------------

  append(name: string, value: string): void {
    this.load();
    const text = textOf(value);
    this.add(nameOf(name), text);
  }

  delete(name: string): void {
    this.load();
    this.#drop(nameOf(name));
  }

  get(name: string): string | null {
    this.load();
    const lower = nameOf(name);
    if (lower === COOKIE) {
      const cookies = this.getSetCookie();
      return cookies.length === 0 ? null : cookies.join(', ');
    }
    const at = this.#names.indexOf(lower);
    return at < 0 ? null : this.#values[at]!;
  }

  getSetCookie(): string[] {
    this.load();
    return this.#values.filter((_, i) => this.#names[i] === COOKIE);
  }

  has(name: string): boolean {
    this.load();
    return this.#names.includes(nameOf(name));
  }

  set(name: string, value: string): void {
    this.load();
    const lower = nameOf(name);
    const text = textOf(value);
    const at = this.#names.indexOf(lower);
    if (at < 0) this.#put(lower, text);
    else if (lower !== COOKIE) this.#values[at] = text;
    else {
      this.#drop(lower);
      this.#put(lower, text);
    }
  }

  forEach(callback: (value: string, name: string, fields: WebFields) => void, self?: unknown): void {
    if (typeof callback !== 'function') throw new TypeError('forEach takes a function');
    for (const [name, value] of this.#sorted()) callback.call(self, value, name, this);
  }

  *entries(): IterableIterator<[string, string]> {
    yield* this.#sorted();
  }

  *keys(): IterableIterator<string> {
    for (const [name] of this.#sorted()) yield name;
  }

  *values(): IterableIterator<string> {
    for (const [, value] of this.#sorted()) yield value;
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }

  /** By name (Fetch §2.2.2, "sort and combine"); the cookies as they came. */
  #sorted(): [string, string][] {
    this.load();
    const pairs = this.#names.map((name, i): [string, string] => [name, this.#values[i]!]);
    return pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }
}

function nameOf(name: unknown): string {
  const text = `${name as string}`;
  if (!isFieldName(text)) throw new TypeError(`not a field name: ${JSON.stringify(text)}`);
  return text.toLowerCase();
}

function textOf(value: unknown): string {
  const text = withoutBlanks(`${value as string}`);
  if (NO_VALUE.test(text)) throw new TypeError(`not a field value: ${JSON.stringify(text)}`);
  return text;
}

/** Whitespace around a value does not belong to it (Fetch §2.2.2, "normalize"). */
function withoutBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}
