/**
 * Keys that say how an API server of Kubernetes is reached, for whatever asks one (kubernetes-access.ts reads them).
 */
import * as z from 'zod';

export const kubernetesAccessOptions = {
  apiServer: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('URL of the API server. Default: that of the cluster that the gateway runs in.'),
  tokenFile: z
    .string()
    .min(1)
    .optional()
    .describe('File with the bearer token, read anew for each request. Default: that of the service account.'),
  caFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file with the authority of the API server. Default: that of the service account.'),
};
