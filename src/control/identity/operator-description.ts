/** The API for operators in the document of the admin API: paths as the feature has them. */
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, inlinePaths, type Mapping, type OperationText } from '../openapi-document.ts';
import { IDENTITY_OPERATIONS } from './api-description.ts';
import { operatorBodies } from './operator-routes.ts';
import { auditHead, auditVerdict, done, introspection } from './responses.ts';

/** What administrators of accounts may do, as far as operator-app.ts offers it. */
export function operatorPaths(): Mapping {
  const offered = Object.entries(IDENTITY_OPERATIONS).filter(
    ([key]) => /^\w+ \/admin\/(users|keys|audit)/.test(key) && !key.endsWith('/impersonate'),
  );
  const own: Readonly<Record<string, OperationText>> = {
    'GET /admin/audit/head': {
      summary: 'The last entry of the audit log, to note elsewhere',
      who: 'admin',
      response: auditHead,
    },
    'GET /admin/audit/verify': {
      summary: 'Checks the chain of the audit log',
      who: 'admin',
      query: operatorBodies['GET /admin/audit/verify'],
      response: auditVerdict,
    },
    'POST /admin/tokens/check': {
      summary: 'Says whether a token is alive, and what it says',
      who: 'admin',
      body: operatorBodies['POST /admin/tokens/check'],
      response: introspection,
    },
    'DELETE /admin/tokens/:jti': { summary: 'Revokes a minted token', who: 'admin', response: done },
  };
  const all = { ...Object.fromEntries(offered), ...own };
  const below = Object.fromEntries(Object.entries(all).map(([key, text]) => [key.replace(' /admin', ' '), text]));
  return inlinePaths(describeApi('accounts', PRODUCT_VERSION, below));
}
