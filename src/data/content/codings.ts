/**
 * Content codings (RFC 9110 §8.4): which one a client wants, and the streams of node:zlib that pack and unpack. Those
 * work on the thread pool, so that a large body never holds up the event loop.
 */
import type { BrotliOptions, ZlibOptions, ZstdOptions } from 'node:zlib';
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createInflate,
  createZstdCompress,
  createZstdDecompress,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib';

export const CODINGS = ['zstd', 'br', 'gzip'] as const;
/** What responses can be packed with. */
export type Coding = (typeof CODINGS)[number];

/** What requests can come packed with. */
export const UNPACKABLE = ['zstd', 'br', 'gzip', 'deflate'] as const;
export type UnpackableCoding = (typeof UNPACKABLE)[number];

export type Levels = Readonly<Record<Coding, number>>;

/** What both sides use of a stream of node:zlib. */
export interface CodingStream extends NodeJS.ReadWriteStream {
  flush(kind: number, done: () => void): void;
  destroy(): void;
}

/** RFC 9659 §3: a client need not read `zstd` with a window above 8 MB. */
const ZSTD_WINDOW_LOG = 23;

/** The kind of `flush` after which the client can read all that was written. */
export const FLUSH_KINDS: Readonly<Record<Coding, number>> = {
  gzip: constants.Z_SYNC_FLUSH,
  br: constants.BROTLI_OPERATION_FLUSH,
  zstd: constants.ZSTD_e_flush,
};

function gzipOptions(level: number): ZlibOptions {
  return { level };
}

function brotliOptions(level: number, size: number): BrotliOptions {
  return {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: level,
      ...(size < 0 ? {} : { [constants.BROTLI_PARAM_SIZE_HINT]: size }),
    },
  };
}

function zstdOptions(level: number): ZstdOptions {
  return { params: { [constants.ZSTD_c_compressionLevel]: level } };
}

/** `size`: bytes that will come, or -1. */
export function packer(coding: Coding, level: number, size: number): CodingStream {
  if (coding === 'gzip') return createGzip(gzipOptions(level)) as CodingStream;
  if (coding === 'br') return createBrotliCompress(brotliOptions(level, size)) as CodingStream;
  return createZstdCompress(zstdOptions(level)) as CodingStream;
}

/** At once, in this thread: for what is so small that the way to another thread costs more. */
export function packNow(coding: Coding, level: number, bytes: Uint8Array): Buffer {
  if (coding === 'gzip') return gzipSync(bytes, gzipOptions(level));
  if (coding === 'br') return brotliCompressSync(bytes, brotliOptions(level, bytes.length));
  return zstdCompressSync(bytes, zstdOptions(level));
}

/** Bytes behind the end of what is packed are an error: two readers could take them for different things. */
export function unpacker(coding: UnpackableCoding): CodingStream {
  const strict = { rejectGarbageAfterEnd: true };
  if (coding === 'gzip') return createGunzip(strict) as CodingStream;
  if (coding === 'deflate') return createInflate(strict) as CodingStream;
  if (coding === 'br') return createBrotliDecompress(strict) as CodingStream;
  const params = { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG };
  return createZstdDecompress({ ...strict, params }) as CodingStream;
}

/** Of a Content-Encoding field; null for none, undefined for one that cannot be unpacked here (also for several). */
export function unpackableCoding(field: string | null): UnpackableCoding | null | undefined {
  if (field === null) return null;
  const name = field.trim().toLowerCase();
  if (name === '' || name === 'identity') return null;
  if (name === 'x-gzip') return 'gzip';
  return UNPACKABLE.find((each) => each === name);
}

/**
 * The coding of those in `offered` that the client likes best (RFC 9110 §12.5.3): the highest weight, and the first
 * offered of those with the same. Null: it wants none, or likes the body as it is better.
 */
export function preferredCoding(accept: string | null, offered: readonly Coding[]): Coding | null {
  if (accept === null || accept === '') return null;
  const weights = new Map<string, number>();
  for (const part of accept.split(',')) {
    const [name = '', ...parameters] = part.split(';');
    const coding = name.trim().toLowerCase();
    // What is not understood is not wanted.
    if (coding !== '') weights.set(coding === 'x-gzip' ? 'gzip' : coding, weightOf(parameters));
  }
  const any = weights.get('*') ?? 0;
  let best: Coding | null = null;
  let bestWeight = 0;
  for (const coding of offered) {
    const weight = weights.get(coding) ?? any;
    if (weight > bestWeight) {
      best = coding;
      bestWeight = weight;
    }
  }
  // Who names identity with a higher weight than any coding wants it; who does not name it takes what is smaller.
  return (weights.get('identity') ?? 0) > bestWeight ? null : best;
}

/** RFC 9110 §12.4.2: `q=0.5`; 1 where there is none, 0 for what is no weight. */
function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    // Cut and not searched: a search for what blanks surround takes quadratic time for a field full of them.
    const equals = parameter.indexOf('=');
    if (equals < 0 || parameter.slice(0, equals).trim().toLowerCase() !== 'q') continue;
    const weight = parameter.slice(equals + 1).trim();
    return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? Number(weight) : 0;
  }
  return 1;
}
