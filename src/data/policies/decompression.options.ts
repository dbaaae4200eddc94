/** Options of `decompression`. */
import * as z from 'zod';
import { size } from '../../base/zod-units.ts';
import { UNPACKABLE } from '../content/codings.ts';
import { definePolicyOptions } from '../contract/options.ts';
import type { DecompressionSettings } from './decompression.ts';

const decompressionSchema = z
  .strictObject({
    codings: z
      .array(z.enum(UNPACKABLE))
      .min(1)
      .max(4)
      .prefault([...UNPACKABLE])
      .describe('Codings that are unpacked; a body with another one is 415.'),
    maxSize: size({ min: 1 })
      .prefault('10mb')
      .describe('Largest body, unpacked; beyond it is 413. `maxRequestSize` bounds the packed one.'),
    maxRatio: z
      .int()
      .min(2)
      .max(10_000)
      .prefault(100)
      .describe('How many times as long as the packed body the unpacked one may be (from 64 KB on); beyond it is 413.'),
  })
  .describe(
    'Unpacks request bodies with `Content-Encoding` before anything looks at them; the service gets them unpacked.',
  );

export const decompressionOptions = definePolicyOptions({
  key: 'decompression',
  schema: decompressionSchema,
  levels: ['gateway', 'service', 'route'],
  compile({ codings, maxSize, maxRatio }) {
    const settings: DecompressionSettings = { codings, maxBytes: maxSize, maxRatio };
    return [{ name: 'decompression', options: settings }];
  },
});
