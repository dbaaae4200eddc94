/** Options of `compression`. */
import * as z from 'zod';
import { size } from '../../base/zod-units.ts';
import { CODINGS } from '../content/codings.ts';
import { definePolicyOptions } from '../contract/options.ts';
import type { CompressionSettings } from './compression.ts';

/** What gets smaller by it. Pictures, films, archives and WOFF2 are packed already. */
const TYPES = [
  'text/*',
  'application/json',
  'application/*+json',
  'application/x-ndjson',
  'application/javascript',
  'application/xml',
  'application/*+xml',
  'application/wasm',
  'application/yaml',
  'image/svg+xml',
  'font/ttf',
  'font/otf',
];

const level = (min: number, max: number, usual: number, what: string) =>
  z.int().min(min).max(max).prefault(usual).describe(what);

const compressionSchema = z
  .strictObject({
    codings: z
      .array(z.enum(CODINGS))
      .min(1)
      .max(3)
      .refine((all) => new Set(all).size === all.length, 'names a coding twice')
      .prefault([...CODINGS])
      .describe(
        'Codings that are offered. The client’s weights decide (`Accept-Encoding`); of those it likes equally the first.',
      ),
    types: z
      .array(z.string().regex(/^[a-z0-9*.+-]+\/[a-z0-9*.+-]+$/, 'must be a content type such as text/*'))
      .min(1)
      .max(100)
      .prefault(TYPES)
      .describe('Content types that are packed, such as `text/*` or `application/*+json`.'),
    minSize: size({ max: 1024 ** 3 })
      .prefault('1kb')
      .describe('A body that is known to be shorter stays as it is.'),
    gzipLevel: level(1, 9, 6, 'Effort of gzip: 1 is fastest, 9 smallest.'),
    brotliLevel: level(0, 11, 4, 'Effort of br: 0 is fastest, 11 smallest and very slow.'),
    zstdLevel: level(1, 15, 3, 'Effort of zstd: 1 is fastest, 15 smallest.'),
  })
  .describe(
    'Packs responses for clients that say in `Accept-Encoding` that they want that. Security: a secret in a response beside text that an attacker chooses can be guessed by the packed length (BREACH); leave such routes out.',
  );

export const compressionOptions = definePolicyOptions({
  key: 'compression',
  schema: compressionSchema,
  levels: ['gateway', 'service', 'route'],
  compile({ codings, types, minSize, gzipLevel, brotliLevel, zstdLevel }) {
    const settings: CompressionSettings = {
      codings,
      types,
      minBytes: minSize,
      levels: { gzip: gzipLevel, br: brotliLevel, zstd: zstdLevel },
    };
    return [{ name: 'compression', options: settings }];
  },
});
