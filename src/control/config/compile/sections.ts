/** Runs the `compile` of every section (sections.ts) and gathers what they give, and the routes that they add. */
import type { KeyPath } from '../../../data/contract/options.ts';
import { sectionsAt } from '../../sections.ts';
import type { ControlPlan } from '../plan.ts';
import type { BuiltinRoute, SectionContext, SectionPlace } from '../section.ts';
import type { Compilation } from './context.ts';
import { readAuthorities, readPair } from './pem.ts';

export interface CompiledSections {
  readonly sections: ControlPlan['sections'];
  readonly gateway: ControlPlan['gateway'];
  readonly services: ControlPlan['services'];
  readonly routes: readonly BuiltinRoute[];
  /** Built-in services that sections offer beside those of their routes. */
  readonly builtins: readonly string[];
  /** Services that sections send to, though no route does. */
  readonly used: readonly string[];
}

export function compileSections(
  compilation: Compilation,
  dataDir: string,
  environment: string,
  nowMs: number,
): CompiledSections {
  const { document } = compilation.config;
  const names = Object.keys(document.services);
  const routes: BuiltinRoute[] = [];
  const builtins: string[] = [];
  const used: string[] = [];

  const compileAt = (place: SectionPlace, base: KeyPath, owner: object): Record<string, unknown> => {
    const results: Record<string, unknown> = {};
    const service = place === 'service' ? String(base[1]) : '';
    for (const section of sectionsAt(place)) {
      const path = [...base, section.key];
      const context: SectionContext = {
        ...compilation.options(path, path.join('/')),
        dataDir,
        environment,
        services: names,
        service,
        healthCheckIntervalMs: document.services[service]?.loadBalancing?.healthCheckInterval,
        readAuthorities: (key, value) => readAuthorities(compilation, [...path, key], value, nowMs),
        readPair: (cert, key) => readPair(compilation, [...path, 'cert'], cert, [...path, 'key'], key, nowMs),
        addRoute: (route) => routes.push(route),
        addService: (name) => builtins.push(name),
        usesService: (name) => used.push(name),
      };
      results[section.key] = section.compile((owner as Record<string, unknown>)[section.key], context);
    }
    return results;
  };

  const services = Object.fromEntries(
    Object.entries(document.services).map(([name, options]) => [
      name,
      compileAt('service', ['services', name], options),
    ]),
  );
  // Keys and types of the results come from the same list, SECTIONS.
  return {
    sections: compileAt('top', [], document) as ControlPlan['sections'],
    gateway: compileAt('gateway', ['gateway'], document.gateway) as ControlPlan['gateway'],
    services: services as ControlPlan['services'],
    routes,
    builtins,
    used,
  };
}
