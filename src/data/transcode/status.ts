/** The JSON of a status of google.rpc with its details. */

import type { MessageType } from '../../base/protobuf/types.ts';
import type { JsonDecoder } from '../../base/protobuf/wire-to-json.ts';

export interface RpcStatus {
  readonly code: number;
  readonly message: string;
  readonly details: readonly unknown[];
}

/** `details`: the field `grpc-status-details-bin`, or null. What cannot be read of it is left out. */
export function statusJson(
  code: number,
  message: string | null,
  details: string | null,
  decoder: JsonDecoder,
  type: MessageType,
): RpcStatus {
  const plain: RpcStatus = { code, message: percentDecoded(message ?? ''), details: [] };
  if (details === null) return plain;
  try {
    const read = decoder.decode(type, Buffer.from(details, 'base64')) as Partial<RpcStatus>;
    return { code, message: read.message || plain.message, details: read.details ?? [] };
  } catch {
    return plain;
  }
}

/** Whole seconds of a `RetryInfo` among the details, or -1. */
export function retrySeconds({ details }: RpcStatus): number {
  for (const detail of details) {
    const { '@type': type, retryDelay } = detail as { readonly '@type'?: string; readonly retryDelay?: string };
    if (type?.endsWith('/google.rpc.RetryInfo') === true && retryDelay !== undefined)
      return Math.max(0, Math.ceil(Number.parseFloat(retryDelay)));
  }
  return -1;
}

/** Messages of gRPC are percent-encoded UTF-8; what is encoded wrongly stays as it is. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
