/** The list of probes, by the `kind` of a health check. */
import { grpcProbe } from './grpc-probe.ts';
import { httpProbe, httpsProbe } from './http-probe.ts';
import type { Probe } from './probe.ts';
import { tcpProbe } from './tcp-probe.ts';

export type ProbeKind = 'http' | 'https' | 'tcp' | 'grpc';

export const PROBES: Readonly<Record<ProbeKind, Probe>> = {
  http: httpProbe,
  https: httpsProbe,
  tcp: tcpProbe,
  grpc: grpcProbe,
};
