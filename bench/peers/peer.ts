/**
 * What the benchmarks need to know of a proxy: how to start it with a given upstream, and what to install if it is
 * not there. One file per peer; `index.ts` lists them. A peer only writes its configuration and names its command;
 * starting, pinning, checking, measuring and ending are the harness's (`lib/`).
 */
import type { GatewayJob } from '../jobs/gateway.ts';
import type { Certificate } from '../lib/certificate.ts';

/** What a peer can be asked to do. A peer lacking a feature is left out of that job and named as such. */
export type Feature =
  | 'http'
  | 'tls'
  | 'websocket'
  | 'idle'
  | 'gateway'
  | 'http2'
  | 'h2c-upstream'
  | 'grpc'
  | 'transcode'
  | 'cache';

/** What one start of a peer is given. */
export interface Setup {
  /** A folder of its own under the temporary folder; removed afterwards. */
  readonly folder: string;
  /** A free port of 127.0.0.1 to listen on. */
  readonly port: number;
  /** The HTTP/1.1 upstream on 127.0.0.1. */
  readonly upstreamPort: number;
  /** Present when the proxy is to speak TLS downstream. */
  readonly tls?: Certificate;
  /** Present for the gateway job. */
  readonly gateway?: GatewayJob;
  /** Present when clients speak HTTP/2; in clear text it may be the only protocol of the port. */
  readonly http2?: Http2Setup;
  /** It stores responses of the upstream in memory, for an hour. */
  readonly cache?: boolean;
  /** Downstream connections it must be able to hold at once. */
  readonly connections: number;
}

export interface Http2Setup {
  /** What the upstream speaks. */
  readonly upstream: 'h1' | 'h2c' | 'grpc';
  /** JSON in front of the gRPC service, by this `.proto`. */
  readonly protoFile?: string;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Where it writes access records, if it does: the check demands that records arrive. */
  readonly accessLog?: string;
  /** Path on the same port that answers with metrics, if there is one. */
  readonly metricsPath?: string;
}

export interface Peer {
  readonly name: string;
  readonly features: ReadonlySet<Feature>;
  /** What it does besides proxying, for the reader of the table. */
  readonly note: string;
  /** How to install it, or undefined if it is there. */
  missing(): string | undefined;
  version(): string;
  /** Writes its files into the folder and says what to run. May be slow the first time (a build). */
  prepare(setup: Setup): Launch;
}
