/**
 * Every configuration key that a feature of the control plane adds, in one explicit list. To add one, write
 * `export const mySection = defineSection({ at: 'top', key: 'my', schema: ..., compile(options, context) { ... } })` in
 * the feature's folder, list it here, and run `node tools/generate-reference.ts`. The engine starts without any of
 * them. Keys of routes that are policies of the data plane are listed in data/catalog.ts instead.
 */
import type * as z from 'zod';
import { accessRecordsSection } from './access-records/section.ts';
import { adminSection } from './admin/section.ts';
import { openapiSection } from './api-pages/section.ts';
import { issuersSection } from './auth/options.ts';
import { acmeSection } from './certificates/options.ts';
import { clusterSection } from './cluster/options.ts';
import type { SectionDefinition, SectionPlace } from './config/section.ts';
import { discoverySection } from './discovery/options.ts';
import { registrySection } from './discovery/registry/options.ts';
import { eventsSection } from './events/options.ts';
import { healthCheckSection } from './health/options.ts';
import { identitySection } from './identity/section.ts';
import { abuseSection } from './limits/bans/abuse-options.ts';
import { limitsSection, plansSection } from './limits/options.ts';
import { quotasSection } from './limits/quotas/quota-options.ts';
import { objectivesSection } from './objectives/section.ts';
import { policiesSection } from './policies/options.ts';
import { securityEventsSection } from './security-events/section.ts';
import { storesSection } from './store/stores-section.ts';
import { tracingSection } from './tracing/section.ts';

/** Sorted by place, then by key. */
export const SECTIONS = [
  abuseSection,
  acmeSection,
  adminSection,
  clusterSection,
  eventsSection,
  identitySection,
  issuersSection,
  limitsSection,
  objectivesSection,
  openapiSection,
  plansSection,
  quotasSection,
  registrySection,
  storesSection,
  accessRecordsSection,
  policiesSection,
  securityEventsSection,
  tracingSection,
  discoverySection,
  healthCheckSection,
] as const satisfies readonly SectionDefinition[];

type Sections = (typeof SECTIONS)[number];
type At<Place extends SectionPlace> = Extract<Sections, { readonly at: Place }>;

/** The keys as they are written, for `defineConfig`. */
export type SectionInputs<Place extends SectionPlace> = {
  readonly [Section in At<Place> as Section['key']]?: z.input<Section['schema']>;
};

/** What the keys compiled to, for the plan. */
export type SectionResults<Place extends SectionPlace> = {
  readonly [Section in At<Place> as Section['key']]: ReturnType<Section['compile']>;
};

/** The sections at one place, without their types, for the code that treats all alike. */
export function sectionsAt(place: SectionPlace): readonly SectionDefinition[] {
  return (SECTIONS as readonly SectionDefinition[]).filter((section) => section.at === place);
}
