/**
 * `hide` and `show` of a service, on whole bodies that the gateway asks it for itself: what a route's `transform` does
 * to a response (policies/transform.ts), for parts of compositions and for handlers.
 */
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import type { VisibilitySettings } from '../contract/transform.ts';
import { readExactJson } from './exact-json.ts';
import { compileVeil, type Veil } from './reshape.ts';

export class BodyVeil {
  /** By the settings of a live configuration: compiled at the first use. */
  static readonly #known = new WeakMap<VisibilitySettings, BodyVeil>();
  readonly #veil: Veil;
  readonly maxBytes: number;
  readonly #maxDepth: number;

  static of(settings: VisibilitySettings): BodyVeil {
    const known = BodyVeil.#known.get(settings);
    if (known !== undefined) return known;
    const made = new BodyVeil(settings);
    BodyVeil.#known.set(settings, made);
    return made;
  }

  private constructor({ visibility, maxBytes, maxDepth }: VisibilitySettings) {
    this.#veil = compileVeil(visibility);
    this.maxBytes = maxBytes;
    this.#maxDepth = maxDepth;
  }

  /** What callers with these roles may see. Throws a `Fault` for what cannot be looked into. */
  apply(body: Buffer, roles: readonly string[]): Buffer {
    if (body.length === 0) return body;
    if (body.length > this.maxBytes) throw unseen(`longer than ${this.maxBytes} bytes`);
    const read = readExactJson(body, this.#maxDepth);
    if (!read.ok) throw unseen(`it is not ${read.expected}`);
    try {
      return Buffer.from(JSON.stringify(this.#veil(read.value, roles)) ?? 'null', 'utf8');
    } catch (error) {
      throw unseen(messageOf(error));
    }
  }
}

export function unseen(cause: string): Fault {
  return new Fault(FAULTS.transformFailed, { cause });
}
