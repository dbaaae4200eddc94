/** What a collector answers to an export that it took: `ExportTraceServiceResponse` of OTLP. */
import { WireFault, WireReader } from '../../base/protobuf/wire.ts';

const PARTIAL_SUCCESS = 1 * 8 + 2;
const REJECTED_SPANS = 1 * 8 + 0;
const TWO_32 = 2 ** 32;

/** Spans that it left out, as it says; 0 where it says nothing that can be understood. */
export function readRejected(data: Uint8Array): number {
  const reader = new WireReader();
  reader.open(Buffer.from(data.buffer, data.byteOffset, data.length));
  let rejected = 0;
  try {
    while (reader.at < reader.end) {
      const tag = reader.varint();
      if (tag !== PARTIAL_SUCCESS) {
        reader.skip(tag);
        continue;
      }
      const end = reader.lengthEnd();
      while (reader.at < end) {
        const inner = reader.varint();
        if (inner === REJECTED_SPANS) {
          reader.varint64();
          rejected = reader.high * TWO_32 + reader.low;
        } else reader.skip(inner);
      }
    }
  } catch (error) {
    if (!(error instanceof WireFault)) throw error;
    return 0;
  }
  return rejected;
}
