/**
 * `defineConfig` for TypeScript configuration files: gives the document back as it is, checked by the compiler and
 * completed by the editor, with the meaning of each key. Loading checks it again, against the same schema that these
 * types are written from (written.ts).
 *
 *     import { defineConfig } from 'gatehouse';
 *     export default defineConfig({ services: { ... }, routes: [ ... ] });
 */
import type { Names, WrittenDocument, WrittenGateway, WrittenRoute, WrittenService } from './written.ts';

interface NamesOf<Service extends string, Issuer extends string> extends Names {
  readonly services: Service;
  readonly issuers: Issuer;
}

export type GatewayConfig = WrittenGateway<Names>;
export type ServiceConfig = WrittenService<Names>;
/** `Service`: names of the services that there are; `Issuer`: of the issuers, beside `identity`. */
export type RouteConfig<Service extends string = string, Issuer extends string = string> = WrittenRoute<
  NamesOf<Service, Issuer>
>;

/** Where names are given; everywhere else they are only used. */
type Given = 'services' | 'issuers';

/** A whole configuration, as it is written. */
export type GatehouseConfig<Service extends string = string, Issuer extends string = string> = NoInfer<
  Omit<WrittenDocument<NamesOf<Service, Issuer>>, Given>
> & {
  /** Services behind the gateway, by name. */
  readonly services?: Readonly<Record<Service, WrittenService<NamesOf<NoInfer<Service>, NoInfer<Issuer>>>>> | undefined;
  /** Issuers of tokens that count here, by names that routes refer to. */
  readonly issuers?: Readonly<Record<Issuer, NonNullable<WrittenDocument<Names>['issuers']>[string]>> | undefined;
  /** Notes of your own. */
  readonly [note: `x-${string}`]: unknown;
};

/** Routes can only name services and issuers that are there: the compiler knows them, and the editor offers them. */
export function defineConfig<const Service extends string = string, const Issuer extends string = never>(
  config: GatehouseConfig<Service, Issuer>,
): GatehouseConfig<Service, Issuer> {
  return config;
}
