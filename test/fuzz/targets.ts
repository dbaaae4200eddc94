/** The fuzz targets, by name. */
import { chunked } from './chunked.fuzz.ts';
import { frames } from './frames.fuzz.ts';
import { head } from './head.fuzz.ts';
import { hpack } from './hpack.fuzz.ts';
import { proxyProtocol } from './proxy-protocol.fuzz.ts';
import type { FuzzTarget } from './support/target.ts';
import { target } from './target.fuzz.ts';

export const TARGETS: readonly FuzzTarget[] = [chunked, frames, head, hpack, proxyProtocol, target];
