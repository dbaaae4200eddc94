/**
 * `defineConfig` for TypeScript configuration files: gives the document back as it is, checked by the compiler and
 * completed by the editor. Loading checks it again, against the same schema that these types come from.
 *
 *     import { defineConfig } from 'gatehouse';
 *     export default defineConfig({ services: { ... }, routes: [ ... ] });
 */
import type * as z from 'zod';
import type { POLICY_OPTIONS } from '../../data/catalog.ts';
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
export type ServiceConfig = ServiceInput & SectionInputs<'service'> & PolicyInputs<'service'>;
export type RouteConfig = Omit<RouteInput, 'auth'> & { readonly auth?: 'public' } extends infer Base
  ? 'auth' extends keyof PolicyInputs<'route'>
    ? Omit<Base, 'auth'> & WithPublic<PolicyInputs<'route'>>
    : Base & PolicyInputs<'route'>
  : never;

/** A whole configuration, as it is written. */
export type GatehouseConfig = SectionInputs<'top'> & {
  readonly gateway?: GatewayConfig;
  readonly services?: Readonly<Record<string, ServiceConfig>>;
  readonly routes?: readonly RouteConfig[];
  /** Notes of your own. */
  readonly [note: `x-${string}`]: unknown;
};

export function defineConfig(config: GatehouseConfig): GatehouseConfig {
  return config;
}
