/**
 * The parts of one multipart body against what is said of them: names, number, sizes, types, file names, and the values
 * of fields. Of files nothing is kept; fields are, all together up to `maxFieldBytes`.
 */
import { isUtf8 } from 'node:buffer';
import { FAULTS, Fault } from '../../base/errors.ts';
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import type { MultipartSettings, PartSettings } from '../contract/validation.ts';
import type { SchemaCheck } from './json-schema.ts';
import { matchesType, mediaTypeOf } from './media-type.ts';
import type { PartHead, PartListener } from './multipart-reader.ts';
import { readValue } from './parameters.ts';
import type { Violation } from './violation.ts';
import { fieldErrors, violation } from './violation.ts';

export interface CheckedPart extends PartSettings {
  /** Null: any value. */
  readonly check: SchemaCheck | null;
}

export interface CheckedMultipart extends Omit<MultipartSettings, 'parts'> {
  readonly parts: ReadonlyMap<string, CheckedPart>;
}

export class MultipartCheck implements PartListener<Fault> {
  readonly #rules: CheckedMultipart;
  readonly #maxFieldBytes: number;
  readonly #counts = new Map<string, number>();
  /** Fields that are one list, until the end. */
  readonly #lists = new Map<CheckedPart, string[]>();
  #parts = 0;
  #fieldBytes = 0;
  #name = '';
  /** Of the part that comes now; undefined for one that nothing is said about. */
  #part: CheckedPart | undefined;
  #bytes = 0;
  /** Null: a file, or a part whose value is not checked. */
  #value: GatheredBytes | null = null;

  constructor(rules: CheckedMultipart, maxFieldBytes: number) {
    this.#rules = rules;
    this.#maxFieldBytes = maxFieldBytes;
  }

  malformed(expected: string): Fault {
    return wrong([violation('', undefined, expected)]);
  }

  onPart({ name, fileName, contentType }: PartHead): Fault | null {
    const { parts, maxParts, unknownParts } = this.#rules;
    const shown = name.slice(0, 100);
    this.#name = shown;
    this.#bytes = 0;
    this.#value = null;
    this.#part = parts.get(name);
    if (++this.#parts > maxParts) return this.malformed(`at most ${maxParts} parts`);
    const part = this.#part;
    if (part === undefined) {
      if (unknownParts === 'refuse') return this.#wrong(undefined, 'no such part');
      if (fileName === null) this.#value = new GatheredBytes();
      return null;
    }
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    if (count > part.maxCount)
      return this.#wrong(undefined, part.maxCount === 1 ? 'given once' : `at most ${part.maxCount}`);
    return part.isFile ? this.#file(part, fileName, contentType) : this.#field(part, fileName, contentType);
  }

  #file({ types, extensions }: CheckedPart, fileName: string | null, contentType: string | null): Fault | null {
    if (fileName === null) return this.#wrong(undefined, 'a file');
    // A service that stores a file under its name must not be led to another path.
    if (/[/\0-\x1f\x7f]/.test(fileName) || fileName === '.' || fileName === '..')
      return this.#wrong(fileName, 'a file name without folders');
    if (extensions !== null && !extensions.some((each) => fileName.toLowerCase().endsWith(each)))
      return this.#wrong(fileName, `a name that ends with ${extensions.join(' or ')}`);
    // RFC 7578 §4.4.
    const type = contentType === null ? 'text/plain' : mediaTypeOf(contentType);
    if (types !== null && !types.some((each) => matchesType(each, type)))
      return this.#wrong(contentType ?? undefined, `a file of type ${types.join(' or ')}`);
    return null;
  }

  #field({ form }: CheckedPart, fileName: string | null, contentType: string | null): Fault | null {
    if (fileName !== null) return this.#wrong(fileName, 'a field and no file');
    const type = contentType === null ? 'text/plain' : mediaTypeOf(contentType);
    if (type !== 'text/plain' && !(type === 'application/json' && form.kind === 'json'))
      return this.#wrong(contentType ?? undefined, form.kind === 'json' ? 'JSON' : 'a text');
    if (contentType !== null && /charset/i.test(contentType) && !/charset\s*=\s*"?utf-8"?\s*(;|$)/i.test(contentType))
      return this.#wrong(contentType, 'UTF-8');
    this.#value = new GatheredBytes();
    return null;
  }

  onData(bytes: Buffer): Fault | null {
    this.#bytes += bytes.length;
    const max = this.#part?.maxBytes ?? Number.POSITIVE_INFINITY;
    if (this.#bytes > max) return tooLarge(`the part ${JSON.stringify(this.#name)} has at most ${max} bytes`);
    if (this.#value === null) return null;
    this.#fieldBytes += bytes.length;
    if (this.#fieldBytes > this.#maxFieldBytes)
      return tooLarge(`all fields together have at most ${this.#maxFieldBytes} bytes`);
    if (this.#part !== undefined) this.#value.add(bytes);
    return null;
  }

  onPartEnd(): Fault | null {
    const part = this.#part;
    if (part === undefined || this.#value === null) return null;
    const { bytes } = this.#value;
    this.#value = null;
    if (!isUtf8(bytes)) return this.#wrong(undefined, 'UTF-8');
    const text = bytes.toString('utf8');
    if (part.form.kind === 'list') {
      const texts = this.#lists.get(part) ?? [];
      texts.push(text);
      this.#lists.set(part, texts);
      return null;
    }
    return this.#checked(part, [text]);
  }

  #checked(part: CheckedPart, texts: readonly string[]): Fault | null {
    const field = `form.${part.name}`;
    const found: Violation[] = [];
    const value = readValue(part.form, texts, field, found);
    if (found.length === 0 && part.check !== null)
      for (const each of part.check(value) ?? []) found.push({ ...each, field: field + each.field });
    return found.length === 0 ? null : wrong(found);
  }

  /** The body was whole: what is missing, and lists. */
  atEnd(): Fault | null {
    const missing = [...this.#rules.parts.values()].filter(({ name, required }) => required && !this.#counts.has(name));
    if (missing.length > 0) return wrong(missing.map(({ name }) => violation(`form.${name}`, undefined, 'required')));
    for (const [part, texts] of this.#lists) {
      const fault = this.#checked(part, texts);
      if (fault !== null) return fault;
    }
    return null;
  }

  #wrong(value: string | undefined, expected: string): Fault {
    return wrong([violation(`form.${this.#name}`, value, expected)]);
  }
}

function wrong(found: readonly Violation[]): Fault {
  const [first] = found;
  return new Fault(FAULTS.invalidRequest, {
    message: found.find(({ message }) => message !== undefined)?.message,
    fields: fieldErrors(found),
    cause: `${first!.field || 'body'}: ${first!.expected}`,
  });
}

function tooLarge(detail: string): Fault {
  return new Fault(FAULTS.payloadTooLarge, { detail, cause: detail });
}
