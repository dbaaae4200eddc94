/** What is in force at a place of nginx's configuration: its own directives, and those around it. */
import type { FieldProblem } from './draft.ts';
import type { Directive } from './nginx-parser.ts';

/** Directives in force, the nearest of each name. */
export interface Scope {
  readonly own: readonly Directive[];
  readonly outer: Scope | null;
  readonly upstreams: Map<string, { readonly block: readonly Directive[]; readonly line: number }>;
  readonly zones: Map<string, readonly string[]>;
  /** Which server takes the requests of a listener that name no other, by the name of the listener. */
  readonly defaults: Map<string, Directive>;
  readonly fieldProblem: FieldProblem;
  /** Why nothing below may be open. */
  closedBy: { readonly source: string; readonly note: string; readonly line: number } | null;
}

export function scopeOf(
  own: readonly Directive[],
  outer: Scope | null,
  fieldProblem: FieldProblem = outer?.fieldProblem ?? (() => undefined),
): Scope {
  return {
    own,
    outer,
    upstreams: outer?.upstreams ?? new Map(),
    zones: outer?.zones ?? new Map(),
    defaults: outer?.defaults ?? new Map(),
    fieldProblem,
    closedBy: outer?.closedBy ?? null,
  };
}

/** Are the addresses of clients taken from a field that the gateway reads, and for all servers alike? */
export function carriesRealIp(scope: Scope): boolean {
  let top = scope;
  while (top.outer !== null) top = top.outer;
  const from = nearest(scope, 'set_real_ip_from');
  const [header] = nearest(scope, 'real_ip_header');
  return (
    from.length > 0 &&
    top.own.includes(from[0]!) &&
    header?.args[0]?.toLowerCase() === 'x-forwarded-for' &&
    from.every(({ args }) => /^[0-9a-fA-F.:]+(?:\/\d+)?$/.test(args[0] ?? ''))
  );
}

/** All of a name at the nearest level that has any: nginx's lists replace those of outer levels. */
export function nearest(scope: Scope, ...names: string[]): readonly Directive[] {
  for (let level: Scope | null = scope; level !== null; level = level.outer) {
    const found = level.own.filter(({ name }) => names.includes(name));
    if (found.length > 0) return found;
  }
  return [];
}
