/**
 * `securityHeaders`: response fields that make browsers careful. What the upstream says itself stays, unless the
 * configuration insists (`override`), because a page's own Content-Security-Policy knows the page better. The file is
 * named as in the catalogue, `security-headers`; lines are precomputed.
 */
import { definePolicy } from '../contract/policy.ts';

export interface SecurityHeadersSettings {
  /** Names as sent and their values. */
  readonly set: Readonly<Record<string, string>>;
  /** `Strict-Transport-Security`, only on answers over HTTPS (RFC 6797 §7.2); null sends none. */
  readonly strictTransport: string | null;
  /** Fields of the upstream that tell more than they help, such as `server`; lower case. */
  readonly remove: readonly string[];
  /** Replace what the upstream says. */
  readonly override: boolean;
}

export const securityHeaders = definePolicy<SecurityHeadersSettings>({
  name: 'security-headers',
  phases: ['responseHead'],
  create({ set, strictTransport, remove, override }) {
    const fields = Object.entries(set).map(([name, value]) => ({ name, lower: name.toLowerCase(), value }));
    return {
      responseHead: (exchange) => {
        for (let i = 0; i < remove.length; i++) {
          if (exchange.responseHeader(remove[i]!) !== null) exchange.removeResponseHeader(remove[i]!);
        }
        for (let i = 0; i < fields.length; i++) {
          const { name, lower, value } = fields[i]!;
          if (override || exchange.responseHeader(lower) === null) exchange.setResponseHeader(name, value);
        }
        if (strictTransport === null || exchange.scheme !== 'https') return;
        if (override || exchange.responseHeader('strict-transport-security') === null) {
          exchange.setResponseHeader('Strict-Transport-Security', strictTransport);
        }
      },
    };
  },
});
