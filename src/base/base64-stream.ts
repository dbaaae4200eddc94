/** Base64 (RFC 4648 §4) that comes, or goes, piece by piece. Strict: nothing that is not base64 is skipped. */

/** Reads base64 that may be padded in several places: some writers pad each piece. */
export class Base64Reader {
  #carry = '';

  /** Null: this is no base64. */
  read(text: string): Buffer | null {
    const all = this.#carry + text;
    const end = all.length - (all.length % 4);
    this.#carry = all.slice(end);
    const groups = all.slice(0, end);
    if (!groups.includes('=')) return /^[A-Za-z0-9+/]*$/.test(groups) ? Buffer.from(groups, 'base64') : null;
    const pieces = groups.match(/[^=]+={0,2}/g) ?? [];
    if (pieces.join('') !== groups || !pieces.every((piece) => PIECE.test(piece))) return null;
    return Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64')));
  }

  /** The last group was whole. */
  get isWhole(): boolean {
    return this.#carry === '';
  }
}

const PIECE = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export class Base64Writer {
  /** Bytes that do not fill a group of three. */
  #carry: Buffer = Buffer.alloc(0);

  /** `bytes[start, end)`, as far as it fills groups. */
  write(bytes: Buffer, start: number, end: number): string {
    let piece = bytes.subarray(start, end);
    if (this.#carry.length > 0) piece = Buffer.concat([this.#carry, piece]);
    const whole = piece.length - (piece.length % 3);
    this.#carry = Buffer.from(piece.subarray(whole));
    return piece.toString('base64', 0, whole);
  }

  /** What is left, padded. What is written afterwards begins anew. */
  end(): string {
    const rest = this.#carry.toString('base64');
    this.#carry = Buffer.alloc(0);
    return rest;
  }
}
