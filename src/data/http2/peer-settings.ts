/** What the peer of a connection has announced about itself (RFC 9113 §6.5.2, RFC 8441 §3), checked. */
import {
  FLOW_CONTROL_ERROR,
  FRAME_BYTES,
  INITIAL_WINDOW,
  integer32,
  MOST_WINDOW,
  PROTOCOL_ERROR,
  SETTING_ENABLE_CONNECT_PROTOCOL,
  SETTING_ENABLE_PUSH,
  SETTING_HEADER_TABLE_SIZE,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_FRAME_SIZE,
} from './frames.ts';
import type { HpackEncoder } from './hpack/encoder.ts';

const SETTING_BYTES = 6;

export class PeerSettings {
  /** The first frame of settings is here. */
  hasCome = false;
  /** Of each new stream. */
  window = INITIAL_WINDOW;
  mostStreams = Number.POSITIVE_INFINITY;
  takesConnect = false;
  /** What is wrong with them. */
  problem = '';
  readonly #encoder: HpackEncoder;

  constructor(encoder: HpackEncoder) {
    this.#encoder = encoder;
  }

  /** Reads whole settings. Returns the error code, or 0; then `problem` says why. */
  read(bytes: Buffer, start: number, end: number): number {
    this.hasCome = true;
    for (let at = start; at < end; at += SETTING_BYTES) {
      const code = this.#readOne((bytes[at]! << 8) | bytes[at + 1]!, integer32(bytes, at + 2));
      if (code !== 0) return code;
    }
    return 0;
  }

  #readOne(id: number, value: number): number {
    switch (id) {
      case SETTING_HEADER_TABLE_SIZE:
        // Each in turn: the encoder has to say the smallest (RFC 7541 §4.2).
        this.#encoder.limitTable(value);
        break;
      case SETTING_ENABLE_PUSH:
        if (value > 1) return this.#wrong(PROTOCOL_ERROR, 'SETTINGS_ENABLE_PUSH is neither 0 nor 1');
        break;
      case SETTING_MAX_CONCURRENT_STREAMS:
        this.mostStreams = value;
        break;
      case SETTING_INITIAL_WINDOW_SIZE:
        if (value > MOST_WINDOW) return this.#wrong(FLOW_CONTROL_ERROR, 'SETTINGS_INITIAL_WINDOW_SIZE is too large');
        this.window = value;
        break;
      case SETTING_MAX_FRAME_SIZE:
        // Larger ones are allowed to us and not made use of.
        if (value < FRAME_BYTES || value > 0xff_ffff)
          return this.#wrong(PROTOCOL_ERROR, 'SETTINGS_MAX_FRAME_SIZE is out of range');
        break;
      case SETTING_ENABLE_CONNECT_PROTOCOL:
        if (value > 1) return this.#wrong(PROTOCOL_ERROR, 'SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1');
        this.takesConnect = value === 1;
        break;
      default:
      // §6.5.2: unknown ones are ignored.
    }
    return 0;
  }

  #wrong(code: number, problem: string): number {
    this.problem = problem;
    return code;
  }
}
