/**
 * The statuses of gRPC calls (google/rpc/code.proto) and what they mean among those of HTTP. A call says in its
 * trailers how it went, and HTTP says 200 whatever that is; what counts failures asks `outcomeOf`.
 */

/** By their numbers. */
export const GRPC_STATUSES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;
export type GrpcStatus = (typeof GRPC_STATUSES)[number];

const UNKNOWN = 2;

/**
 * Those from 500 on are failures of the server in the semantic conventions of OpenTelemetry, too: UNKNOWN,
 * DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
 */
const HTTP_STATUSES = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

export function httpStatusOf(code: number): number {
  return HTTP_STATUSES[code] ?? 500;
}

/** A number that is none of them is UNKNOWN. */
export function knownGrpcCode(code: number): number {
  return GRPC_STATUSES[code] === undefined ? UNKNOWN : code;
}

export function grpcStatusOf(code: number): GrpcStatus {
  return GRPC_STATUSES[knownGrpcCode(code)]!;
}

/**
 * The status of HTTP that says how a request went. `status`: that of the response; `grpcCode`: -1 for what is no gRPC
 * call; `faultStatus`: of the gateway's own fault, 0 for none. What the client did wrong stays so, though a call has
 * INTERNAL for it, and what broke off has failed whatever its head said.
 */
export function outcomeOf(status: number, grpcCode: number, faultStatus: number): number {
  const meant = grpcCode < 0 ? status : httpStatusOf(grpcCode);
  if (faultStatus === 0) return meant;
  if (grpcCode >= 0) return meant >= 500 && faultStatus < 500 ? faultStatus : meant;
  return faultStatus >= 500 && status < 500 ? faultStatus : meant;
}
