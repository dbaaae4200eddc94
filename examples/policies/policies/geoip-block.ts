/**
 * Refuses requests from some countries, by a database in MaxMind's format (GeoLite2, DB-IP and others have one). The
 * file is read once, when the policy is created; a newer one is taken up with the next reload that changes the options.
 *
 * In a project of your own the first import reads `from 'gatehouse/policy'`.
 */
import { readFileSync } from 'node:fs';
import { Reader } from 'mmdb-lib';
import { definePolicy, refuse } from '../../../src/data/contract/user-policy.ts';

interface Options {
  /** Path of the database, relative to this file. */
  readonly database: string;
  /** ISO 3166-1 codes, such as `AQ`. */
  readonly countries: readonly string[];
}

interface Place {
  readonly country?: { readonly iso_code?: string };
}

export default definePolicy<Options>({
  name: 'geoip-block',
  options: {
    type: 'object',
    required: ['database', 'countries'],
    additionalProperties: false,
    properties: {
      database: { type: 'string' },
      countries: { type: 'array', minItems: 1, items: { type: 'string', pattern: '^[A-Z]{2}$' } },
    },
  },
  create({ database, countries }, { resolve }) {
    const reader = new Reader(readFileSync(resolve(database)));
    const blocked = new Set(countries);
    return {
      authorize(request) {
        const country = (reader.get(request.address) as Place | null)?.country?.iso_code;
        if (country === undefined || !blocked.has(country)) return undefined;
        request.logField('country', country);
        return refuse(451, { code: 'COUNTRY_BLOCKED', message: 'the service is not offered in this country' });
      },
    };
  },
});
