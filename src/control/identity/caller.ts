/** Who sends a request, as far as the connection tells; nothing here is proof of anything. */
export interface Caller {
  /** Canonical address. */
  readonly address: string;
  readonly userAgent: string;
  readonly requestId: string;
  /** What a trusted proxy says about where the caller is. */
  readonly placeSaid?: string;
  readonly signal?: AbortSignal;
  /** What the device cookie says (accounts/devices.ts). */
  readonly device?: string;
  /** Its `Accept-Language`, or the language of the page that it reads. */
  readonly languages?: string;
}

/** The caller when there is no request: the command line, the service itself. */
export const LOCAL_CALLER: Caller = { address: '', userAgent: '', requestId: '' };
