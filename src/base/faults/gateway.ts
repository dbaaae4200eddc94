/** The gateway itself. */
import { type FaultKind, kind } from './kind.ts';

export const GATEWAY_FAULTS = {
  // finish
  shuttingDown: kind(
    'shutting_down',
    503,
    'SERVICE_UNAVAILABLE',
    'accept',
    'internal',
    'always',
    'the gateway is shutting down',
  ),
  internal: kind(
    'internal',
    500,
    'INTERNAL_ERROR',
    'finish',
    'internal',
    'never',
    'the gateway failed to handle the request',
  ),
} as const satisfies Record<string, FaultKind>;
