/**
 * The keyed hash of the tables in shared memory: HalfSipHash with 64 bits of output, so that no client can choose keys
 * that collide or that crowd one bucket. One compression round and three final ones, the usual choice for hash tables;
 * the rounds are parameters so that the published vectors (2 and 4) can be checked. Results are left in `a` and `b`
 * instead of returned, because a pair would be an object per call. One instance per thread.
 */

export class KeyHash {
  /** The two halves of the last result. */
  a = 0;
  b = 0;
  readonly #k0: number;
  readonly #k1: number;
  readonly #perWord: number;
  readonly #atEnd: number;

  constructor(k0: number, k1: number, perWord = 1, atEnd = 3) {
    this.#k0 = k0 | 0;
    this.#k1 = k1 | 0;
    this.#perWord = perWord;
    this.#atEnd = atEnd;
  }

  /** Hashes the UTF-16 code units of a text, low byte first. */
  text(text: string): void {
    const perWord = this.#perWord;
    let v0 = this.#k0;
    let v1 = this.#k1 ^ 0xee;
    let v2 = 0x6c796765 ^ this.#k0;
    let v3 = 0x74656462 ^ this.#k1;
    const units = text.length;
    const pairs = units >> 1;
    for (let i = 0; i <= pairs; i++) {
      let m: number;
      if (i < pairs) m = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 16);
      else m = ((2 * units) << 24) | ((units & 1) === 1 ? text.charCodeAt(units - 1) : 0);
      v3 ^= m;
      for (let round = 0; round < perWord; round++) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= m;
    }
    this.#finish(v0, v1, v2, v3);
  }

  /** Hashes the first `count` words, as if they were their bytes, low byte first. */
  words(words: Int32Array, count: number): void {
    const perWord = this.#perWord;
    let v0 = this.#k0;
    let v1 = this.#k1 ^ 0xee;
    let v2 = 0x6c796765 ^ this.#k0;
    let v3 = 0x74656462 ^ this.#k1;
    for (let i = 0; i <= count; i++) {
      const m = i < count ? (words[i] ?? 0) : (4 * count) << 24;
      v3 ^= m;
      for (let round = 0; round < perWord; round++) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= m;
    }
    this.#finish(v0, v1, v2, v3);
  }

  #finish(v0: number, v1: number, v2: number, v3: number): void {
    const rounds = this.#atEnd;
    v2 ^= 0xee;
    for (let round = 0; round < 2 * rounds; round++) {
      if (round === rounds) {
        this.a = v1 ^ v3;
        v1 ^= 0xdd;
      }
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.b = v1 ^ v3;
  }
}
