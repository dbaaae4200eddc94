/** Floods over HTTP/2, one of each kind that is counted: what is cheap to send and expensive to handle. */
import * as f from '../../src/data/http2/frames.ts';
import { block, frame, GET, get, numbered, post } from './http2-peer.ts';

export interface Flood {
  readonly kind: string;
  readonly settings?: readonly (readonly [number, number])[];
  /** The nth message. */
  readonly message: (n: number) => Uint8Array;
}

export const FLOODS: readonly Flood[] = [
  {
    kind: 'rapid_reset',
    message: (n) =>
      Buffer.concat([frame(f.HEADERS, 5, n * 2 + 1, block(get('/slow'))), numbered(f.RST_STREAM, n * 2 + 1, f.CANCEL)]),
  },
  {
    kind: 'provoked_reset',
    message: (n) =>
      Buffer.concat([frame(f.HEADERS, 5, n * 2 + 1, block(get('/slow'))), numbered(f.WINDOW_UPDATE, n * 2 + 1, 0)]),
  },
  {
    kind: 'provoked_reset',
    message: (n) => frame(f.HEADERS, 5, n * 2 + 1, block(get('/', [['connection', 'close']]))),
  },
  {
    kind: 'continuation',
    message: (n) =>
      n === 0 ? frame(f.HEADERS, 1, 1, block(GET)) : frame(f.CONTINUATION, 0, 1, Buffer.of(0, 1, 0x61, 1, 0x62)),
  },
  {
    kind: 'empty_frame',
    message: (n) => (n === 0 ? frame(f.HEADERS, 4, 1, block(post('/slow'))) : frame(f.DATA, 0, 1)),
  },
  { kind: 'settings', message: () => f.settingsFrame([[4, 65_535]]) },
  { kind: 'ping', message: () => frame(f.PING, 0, 0, 'floodpng') },
  { kind: 'priority', message: () => frame(f.PRIORITY, 0, 1, '12345') },
  { kind: 'priority', message: () => frame(0x99, 0, 0, 'whatever') },
  { kind: 'tiny_window', message: () => numbered(f.WINDOW_UPDATE, 0, 1) },
  {
    kind: 'field_block',
    // One line of 3 KB in the table, then told again and again by one byte each.
    message: (n) =>
      n === 0
        ? frame(
            f.HEADERS,
            5,
            1,
            Buffer.concat([
              block(GET),
              Buffer.of(0x40, 1, 0x61, 127, 0x80 | (2873 & 127), 2873 >> 7),
              Buffer.alloc(3000, 0x62),
            ]),
          )
        : frame(f.HEADERS, 5, n * 2 + 1, Buffer.concat([block(GET), Buffer.alloc(12_000, 0xbe)])),
  },
];
