/**
 * What a configuration is to an exchange: routes with their policies in arrays by phase, and what a route does with a
 * request that passed them. `config/compile-config.ts` makes it.
 */
import type { Fault } from '../../base/errors.ts';
import type { CidrSet } from '../../base/ip.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { PolicyHook, PolicyHooks, Reply, ResponseHook } from '../contract/policy.ts';
import type { GatewaySettings, MirrorSettings, RouteSettings } from '../contract/snapshot.ts';
import type { Router } from '../router/router.ts';
import type { UpstreamService } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import type { ResponseReferences } from './response-references.ts';
import type { ResponseHandler, ResponseSource } from './response-source.ts';

/** One file of `actions/` for each kind; a cache wraps one and stands between its source and the exchange. */
export interface RouteAction {
  /** Gives the response itself where it is there already, otherwise what it comes from, not yet started. */
  open(exchange: Exchange, handler: ResponseHandler): ResponseSource | Reply | Fault;
  /** Frees what it took, when the snapshot is replaced. */
  dispose?(): void;
}

export interface CompiledRoute {
  /** Replaced by a copy without slot when a later configuration has the route no more (config/draining-configs.ts). */
  settings: RouteSettings;
  /** Added by the gateway, without policies: what those of other routes do about abuse the engine does. */
  readonly isBuiltIn: boolean;
  /** Of the route's objective; 0 for none. */
  readonly latencyBoundMs: number;
  /** Answers CORS preflights; null where no policy does. */
  readonly preflight: PolicyHook | null;
  /** Null where no policy has any. */
  readonly refusalFields: NonNullable<PolicyHooks['refusalFields']> | null;
  readonly authenticate: readonly PolicyHook[];
  readonly authorize: readonly PolicyHook[];
  readonly limit: readonly PolicyHook[];
  readonly requestHead: readonly PolicyHook[];
  readonly requestBody: readonly PolicyHook[];
  readonly responseHead: readonly ResponseHook[];
  readonly finish: readonly ResponseHook[];
  readonly action: RouteAction;
  readonly mirror: MirrorSettings | null;
  /** What `rewrite.stripPrefix` takes off, in one spelling; empty for nothing. */
  readonly strippedPrefix: string;
  /** Makes URLs and cookies of services those of the client. Null: they pass as they are. */
  readonly references: ResponseReferences | null;
  /** A service speaks gRPC, so calls in gRPC-Web are translated. */
  readonly takesGrpcWeb: boolean;
  /** Fields that every response of the route carries (`Deprecation`, `Sunset`), or null. */
  readonly responseFields: FieldBlock | null;
}

export interface ActiveConfig {
  readonly version: number;
  readonly gateway: GatewaySettings;
  readonly trusted: CidrSet;
  readonly router: Router;
  /** By index in the snapshot. */
  readonly routes: readonly CompiledRoute[];
  readonly services: ReadonlyMap<string, UpstreamService>;
  /** For responses that belong to no route. */
  readonly unrouted: readonly ResponseHook[];
  /** For refused heads of which no route is known. */
  readonly refusalFields: NonNullable<PolicyHooks['refusalFields']> | null;
  /** Who sent a head that is refused matters to the response. */
  readonly asksOriginOfRefused: boolean;
  /** `arrival` policies of all routes, each once: they act before the route is known. */
  readonly arrival: readonly PolicyHook[];
  /** Hooks that no longer use the request after their promise settles. */
  readonly readOnlyWhilePending: ReadonlySet<unknown>;
  isBanned(address: string): boolean;
  /** Exchanges that began under this configuration and have not ended. */
  active: number;
  /** Replaced by a newer one: policies are disposed of when the last exchange ends. */
  retired: boolean;
  dispose(): void;
}
