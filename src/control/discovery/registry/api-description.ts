/** The registration API in words, for API documents. Bodies are the schemas that check them. */
import * as z from 'zod';
import type { OperationText } from '../../openapi-document.ts';
import { changesSchema, registrationSchema } from './bodies.ts';

const HOUR_MS = 3_600_000;
const time = z.iso.datetime();
const lease = z.object({
  id: z.string(),
  service: z.string(),
  url: z.string(),
  weight: z.number(),
  zone: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  state: z.string(),
  heldUntil: time.nullable(),
  comebacks: z.int(),
  leaseMs: z.int(),
  heartbeatMs: z.int().describe('How often to send a heartbeat.'),
  registeredAt: time,
  expiresAt: time,
});
const ofService = z.object({ service: z.string(), instances: z.array(lease) });

const TOKEN = { 401: 'There is no registration token, or it is not good here' };
const BODY = { 400: 'The request is not valid', ...TOKEN, 413: 'The body is too large' };

export const REGISTRY_OPERATIONS: Readonly<Record<string, OperationText>> = {
  'POST /services/:name/instances': {
    summary: 'Registers an instance',
    who: 'signed-in',
    body: registrationSchema({ leaseMs: { min: 1, default: 30_000, max: HOUR_MS } }),
    status: 201,
    response: lease,
    responseFields: { Location: 'Path of the registration.' },
    also: { 200: 'The URL was registered already.' },
    errors: {
      ...BODY,
      404: 'The service takes no registrations',
      409: 'There are too many registrations',
    },
  },
  'PUT /services/:name/instances/:id/heartbeat': {
    summary: 'Keeps a registration alive',
    who: 'signed-in',
    body: changesSchema,
    response: lease,
    errors: { ...BODY, 404: 'There is no such registration: register again' },
  },
  'DELETE /services/:name/instances/:id': {
    summary: 'Removes a registration',
    who: 'signed-in',
    status: 204,
    errors: { ...TOKEN, 404: 'There is no such registration' },
  },
  'GET /services/:name/instances': {
    summary: 'Registered instances of a service',
    who: 'signed-in',
    response: ofService,
    errors: { ...TOKEN, 404: 'The service takes no registrations' },
  },
  'GET /services': {
    summary: 'All registered instances',
    who: 'signed-in',
    response: z.object({ services: z.array(ofService) }),
    errors: TOKEN,
  },
};
