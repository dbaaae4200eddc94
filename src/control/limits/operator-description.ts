/** The API for operators in the document of the admin API: paths as the feature has them. */
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, inlinePaths, type Mapping } from '../openapi-document.ts';
import { limitsOperations } from './api-description.ts';

export function operatorPaths(): Mapping {
  return inlinePaths(describeApi('limits', PRODUCT_VERSION, limitsOperations('', 'operators')));
}
