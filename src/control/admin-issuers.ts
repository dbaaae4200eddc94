/**
 * `adminIssuers` of a section: names of `issuers` whose roles and scopes count for a built-in API, as values of `iss`.
 * An unknown name is a problem of the configuration. Used by the sections `limits` and `cluster`.
 */
import type { SectionContext } from './config/section.ts';

export function issuersOf(names: readonly string[], context: SectionContext): string[] {
  const known = (context.document?.['issuers'] ?? {}) as Readonly<
    Record<string, { readonly issuer?: readonly string[] }>
  >;
  return names.flatMap((name, index) => {
    const issuer = Object.hasOwn(known, name) ? known[name]?.issuer : undefined;
    if (issuer?.some((each) => each.includes('{')) === true) {
      context.problem('tokens of every tenant would administer: name one issuer for it', {
        at: ['adminIssuers', index],
      });
      return [];
    }
    if (issuer !== undefined) return issuer;
    context.problem('there is no issuer of this name', { at: ['adminIssuers', index], got: JSON.stringify(name) });
    return [];
  });
}
