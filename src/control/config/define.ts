/**
 * `defineConfig` for TypeScript configuration files: gives the document back as it is, checked by the compiler and
 * completed by the editor. Loading checks it again, against the same schema that these types come from.
 *
 *     import { defineConfig } from 'gatehouse';
 *     export default defineConfig({ services: { ... }, routes: [ ... ] });
 */
import type * as z from 'zod';
import type { BALANCER_OPTIONS, POLICY_OPTIONS } from '../../data/catalog.ts';
import type { PolicyLevel, PolicyOptionsDefinition } from '../../data/contract/options.ts';
import type { SectionInputs } from '../sections.ts';
import type { GatewayInput } from './schema/gateway.ts';
import type { RouteInput } from './schema/route.ts';
import type { ServiceInput } from './schema/service.ts';

type Policies = (typeof POLICY_OPTIONS)[number];

/** The policies of the catalogue that may stand at a level, by their keys. */
type PolicyInputs<Level extends PolicyLevel> = {
  readonly [Policy in Policies as Policy extends PolicyOptionsDefinition
    ? Level extends Policy['levels'][number]
      ? Policy['key']
      : never
    : never]?: Policy extends PolicyOptionsDefinition ? z.input<Policy['schema']> | 'off' : never;
};

type WithPublic<Inputs> = { readonly [Key in keyof Inputs]: Key extends 'auth' ? Inputs[Key] | 'public' : Inputs[Key] };

export type GatewayConfig = GatewayInput & SectionInputs<'gateway'> & PolicyInputs<'gateway'>;

type Balancers = (typeof BALANCER_OPTIONS)[number];
/** One form for each algorithm, with the options that it has. */
type BalancingOf<Balancer> = Balancer extends { readonly algorithm: infer Name; readonly schema: infer Schema }
  ? Schema extends z.ZodType
    ? (string extends keyof z.input<Schema> ? unknown : z.input<Schema>) & { readonly algorithm: Name } & Pick<
          AnyBalancing,
          'healthCheckInterval'
        >
    : never
  : never;
type AnyBalancing = NonNullable<ServiceInput['loadBalancing']>;
/** The default algorithm need not be named. */
type Balancing = BalancingOf<Balancers> | (Pick<AnyBalancing, 'healthCheckInterval'> & { readonly algorithm?: never });

export type ServiceConfig = Omit<ServiceInput, 'loadBalancing'> & {
  readonly loadBalancing?: Balancing;
} & SectionInputs<'service'> &
  PolicyInputs<'service'>;
/** `Service`: names of the services that there are. */
export type RouteConfig<Service extends string = string> = Omit<RouteInput, 'auth' | 'service'> & {
  readonly auth?: 'public';
  readonly service?:
    | Service
    | readonly { readonly service: Service; readonly weight?: number | undefined }[]
    | undefined;
} extends infer Base
  ? 'auth' extends keyof PolicyInputs<'route'>
    ? Omit<Base, 'auth'> & WithPublic<PolicyInputs<'route'>>
    : Base & PolicyInputs<'route'>
  : never;

/** A whole configuration, as it is written. */
export type GatehouseConfig<Service extends string = string> = SectionInputs<'top'> & {
  readonly gateway?: GatewayConfig;
  readonly services?: Readonly<Record<Service, ServiceConfig>>;
  readonly routes?: readonly RouteConfig<NoInfer<Service>>[];
  /** Notes of your own. */
  readonly [note: `x-${string}`]: unknown;
};

/** A route can only name services that are there: the compiler knows them, and the editor offers them. */
export function defineConfig<const Service extends string = string>(
  config: GatehouseConfig<Service>,
): GatehouseConfig<Service> {
  return config;
}
