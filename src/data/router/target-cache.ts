/**
 * Request targets that repeat, by their bytes, with what was parsed from them: for a cached target no string is built
 * and nothing is parsed again, and its path is the string that the router's maps have as a key. A target is cached on
 * its second use while its place remembers the first; targets that never repeat cost a lookup and no memory. One place
 * for each hash: callers can evict each other's targets, and nothing else. Owner: one worker.
 */
import { readTarget, type Target } from '../parser/target.ts';

const PLACES = 512;
/** Longer ones are read anew. */
const MOST_BYTES = 128;
const SLASH = 0x2f;

interface Known {
  readonly hash: number;
  readonly length: number;
  readonly path: string;
  readonly query: string;
  readonly hasQuery: boolean;
  readonly isSuspicious: boolean;
  readonly isRespelled: boolean;
}

export class TargetCache {
  readonly #known: (Known | null)[] = Array.from({ length: PLACES }, () => null);
  /** Hash of the last target that had no place here. */
  readonly #seen = new Int32Array(PLACES);
  readonly #bytes = new DataView(new ArrayBuffer(PLACES * MOST_BYTES));

  /** Does what `readTarget` does with the text `bytes[start, end)`; `view` is all of `bytes`, null if there is none. */
  read(
    bytes: Buffer,
    view: DataView | null,
    start: number,
    end: number,
    method: string,
    out: Target,
  ): string | undefined {
    const length = end - start;
    if (view === null || length > MOST_BYTES || bytes[start] !== SLASH || method === 'CONNECT')
      return readTarget(bytes.latin1Slice(start, end), method, out);
    const hash = hashOf(view, start, end);
    const place = hash & (PLACES - 1);
    const known = this.#known[place]!;
    if (known !== null && known.hash === hash && known.length === length && this.#isAt(place, view, start, length)) {
      out.form = 'origin';
      out.authority = null;
      out.scheme = '';
      out.path = known.path;
      out.query = known.query;
      out.hasQuery = known.hasQuery;
      out.isSuspicious = known.isSuspicious;
      out.isRespelled = known.isRespelled;
      return undefined;
    }
    const problem = readTarget(bytes.latin1Slice(start, end), method, out);
    if (problem !== undefined) return problem;
    if (this.#seen[place] === hash) this.#keep(place, hash, view, start, length, out);
    else this.#seen[place] = hash;
    return undefined;
  }

  #isAt(place: number, view: DataView, start: number, length: number): boolean {
    const kept = this.#bytes;
    const from = place * MOST_BYTES;
    const words = length & ~3;
    let i = 0;
    for (; i < words; i += 4) if (kept.getInt32(from + i, true) !== view.getInt32(start + i, true)) return false;
    for (; i < length; i++) if (kept.getUint8(from + i) !== view.getUint8(start + i)) return false;
    return true;
  }

  #keep(place: number, hash: number, view: DataView, start: number, length: number, target: Target): void {
    const from = place * MOST_BYTES;
    for (let i = 0; i < length; i++) this.#bytes.setUint8(from + i, view.getUint8(start + i));
    const { query, hasQuery, isSuspicious, isRespelled } = target;
    target.path = lasting(target.path);
    this.#known[place] = { hash, length, path: target.path, query, hasQuery, isSuspicious, isRespelled };
  }
}

function hashOf(view: DataView, start: number, end: number): number {
  let hash = end - start;
  let i = start;
  for (; i + 4 <= end; i += 4) hash = Math.imul(hash ^ view.getInt32(i, true) ^ (hash >>> 15), 0x2c1b3c6d);
  for (; i < end; i++) hash = Math.imul(hash ^ view.getUint8(i), 0x01000193);
  return hash ^ (hash >>> 15);
}

/**
 * The same text as the string that V8 keeps for names of properties. A string that a Map has looked up becomes a mere
 * pointer to that one, and is then written at a fifth of the speed.
 */
function lasting(text: string): string {
  for (const name in { [text]: true }) return name;
  return text;
}
