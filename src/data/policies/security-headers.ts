/**
 * `securityHeaders`: response fields that make browsers careful. What the upstream says itself stays, unless the
 * configuration insists (`override`), because a page's own Content-Security-Policy knows the page better. The file is
 * named as in the catalogue, `security-headers`; lines are precomputed.
 */
import { FieldBlock } from '../contract/field-block.ts';
import { FieldNames } from '../contract/field-names.ts';
import { definePolicy } from '../contract/policy.ts';

export interface SecurityHeadersSettings {
  /** Names as sent and their values. */
  readonly set: Readonly<Record<string, string>>;
  /** `Strict-Transport-Security`, only on responses over HTTPS (RFC 6797 §7.2); null sends none. */
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
    const fields = FieldBlock.of(Object.entries(set));
    const secured =
      strictTransport === null
        ? fields
        : FieldBlock.of([...Object.entries(set), ['Strict-Transport-Security', strictTransport]]);
    const removed = new FieldNames(remove);
    return {
      responseHead: (exchange) => {
        exchange.removeServiceFields(removed);
        const block = exchange.scheme === 'https' ? secured : fields;
        if (override) exchange.setResponseFields(block);
        else exchange.setMissingFields(block);
      },
    };
  },
});
