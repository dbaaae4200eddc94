/**
 * Joins what features add (sections.ts, data/catalog.ts) to the keys of a section's own. Their types are joined in
 * define.ts; here they are a shape like any other, so that checking, JSON Schema and reference page need not know.
 */
import * as z from 'zod';
import { POLICY_OPTIONS } from '../../../data/catalog.ts';
import type { PolicyLevel, PolicyOptionsDefinition } from '../../../data/contract/options.ts';
import type { SectionPlace } from '../section.ts';
import { sectionsAt } from '../../sections.ts';

export function policiesAt(level: PolicyLevel): readonly PolicyOptionsDefinition[] {
  return (POLICY_OPTIONS as readonly PolicyOptionsDefinition[]).filter((policy) => policy.levels.includes(level));
}

/** Keys of features at one place, all optional. Two features that want one key are a mistake of ours. */
export function extensionShape(place: SectionPlace | 'route', own: readonly string[]): Record<string, z.ZodType> {
  const shape: Record<string, z.ZodType> = {};
  const add = (key: string, schema: z.ZodType): void => {
    if (own.includes(key) || key in shape) throw new TypeError(`two owners of the configuration key ${place} ${key}`);
    shape[key] = schema.optional();
  };
  if (place !== 'route') for (const section of sectionsAt(place)) add(section.key, section.schema);
  if (place !== 'top') {
    for (const policy of policiesAt(place)) {
      // The route's own key: `public` is always there, with or without an authentication policy (route.ts).
      if (place === 'route' && policy.key === 'auth') continue;
      // On a nearer level `off` ends what a wider one began; on the widest there is nothing to end.
      // Authentication has a word of its own for that, `public`, and needs no second one.
      const canEnd = policy.levels.length > 1 && place !== widest(policy) && policy.key !== 'auth';
      const schema = canEnd ? z.union([z.literal('off'), policy.schema]) : policy.schema;
      const meaning = policy.schema.description;
      add(policy.key, meaning === undefined ? schema : schema.describe(meaning));
    }
  }
  return shape;
}

function widest(policy: PolicyOptionsDefinition): PolicyLevel {
  return (['gateway', 'service', 'route'] as const).find((level) => policy.levels.includes(level)) ?? 'route';
}
