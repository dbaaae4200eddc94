/**
 * How long a collector wants an export to wait before it is sent again: `google.rpc.RetryInfo` among the details of a
 * `google.rpc.Status`, as gRPC has it in `grpc-status-details-bin`.
 */
import { WireFault, WireReader } from '../../base/protobuf/wire.ts';

const STATUS_DETAILS = 3 * 8 + 2;
const ANY_TYPE = 1 * 8 + 2;
const ANY_VALUE = 2 * 8 + 2;
const RETRY_DELAY = 1 * 8 + 2;
const SECONDS = 1 * 8 + 0;
const NANOS = 2 * 8 + 0;
const RETRY_INFO = '/google.rpc.RetryInfo';
const NOTHING = Buffer.alloc(0);

/** Null where there is none that can be understood. */
export function readRetryDelayMs(status: Buffer): number | null {
  let delayMs: number | null = null;
  try {
    fields(status, (tag, details) => {
      if (tag !== STATUS_DETAILS) return false;
      let type = '';
      let value: Buffer = NOTHING;
      fields(details.blob(), (inner, any) => {
        if (inner === ANY_TYPE) type = any.text();
        else if (inner === ANY_VALUE) value = any.blob();
        else return false;
        return true;
      });
      if (type.endsWith(RETRY_INFO)) delayMs = readDelay(value);
      return true;
    });
  } catch (error) {
    if (!(error instanceof WireFault)) throw error;
    return null;
  }
  return delayMs;
}

function readDelay(retryInfo: Buffer): number {
  let ms = 0;
  fields(retryInfo, (tag, info) => {
    if (tag !== RETRY_DELAY) return false;
    fields(info.blob(), (inner, duration) => {
      if (inner === SECONDS) ms += duration.varint() * 1_000;
      else if (inner === NANOS) ms += duration.varint() / 1e6;
      else return false;
      return true;
    });
    return true;
  });
  return ms;
}

/** Calls `read` at the value of each field; false leaves it to be skipped. */
function fields(message: Buffer, read: (tag: number, reader: WireReader) => boolean): void {
  const reader = new WireReader();
  reader.open(message);
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (!read(tag, reader)) reader.skip(tag);
  }
}
