/** The API for operators in the document of the admin API: paths as the feature has them. */
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, type Mapping } from '../openapi-document.ts';
import { purgeBody } from './api.ts';

export function operatorPaths(): Mapping {
  return describeApi('cache', PRODUCT_VERSION, {
    'GET ': { summary: 'Sizes and contents of the cache', who: 'admin' },
    'POST /purge': { summary: 'Removes responses from the cache', who: 'admin', body: purgeBody },
  })['paths'] as Mapping;
}
