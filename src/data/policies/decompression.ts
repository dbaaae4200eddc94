/**
 * `decompression`: unpacks request bodies, so that validation, transforms and services that know no codings can read
 * them. It acts before all other policies of its phase; what these read is the unpacked body.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { type UnpackableCoding, unpackableCoding } from '../content/codings.ts';
import { DIGESTS } from '../content/other-bytes.ts';
import { type UnpackBounds, type UnpackFaults, UnpackFilter } from '../content/unpack-filter.ts';
import { definePolicy } from '../contract/policy.ts';

export interface DecompressionSettings extends UnpackBounds {
  readonly codings: readonly UnpackableCoding[];
}

const FAULTS_OF_REQUESTS: UnpackFaults = {
  tooLarge: (detail) => new Fault(FAULTS.payloadTooLarge, { detail }),
  malformed: (expected) => new Fault(FAULTS.invalidRequest, { fields: [{ field: '', expected }], cause: expected }),
};

const OF_PACKED_BYTES = ['content-encoding', ...DIGESTS];

export const decompression = definePolicy<DecompressionSettings>({
  name: 'decompression',
  phases: ['requestHead'],
  // By its name it stands before `hygiene` and `validate`, which are first, too.
  first: true,
  create(settings, { count }) {
    const accepted = settings.codings.join(', ');
    return {
      requestHead(exchange) {
        if (exchange.contentLength === 0) return undefined;
        const coding = unpackableCoding(exchange.header('content-encoding'));
        if (coding === null) return undefined;
        // RFC 9110 §15.5.16, RFC 7694: what would be taken is said.
        if (coding === undefined || !settings.codings.includes(coding))
          return new Fault(FAULTS.unsupportedMediaType, {
            detail: 'the route does not take this Content-Encoding',
            headers: { 'Accept-Encoding': accepted },
          });
        for (const name of OF_PACKED_BYTES) exchange.removeUpstreamHeader(name);
        exchange.filterRequestBody(new UnpackFilter(coding, settings, FAULTS_OF_REQUESTS));
        exchange.isBodyUnpacked = true;
        count('unpacked_requests', 1);
        return undefined;
      },
    };
  },
});
