/** The API for operators in the document of the admin API: paths as the feature has them. */
import * as z from 'zod';
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, type Mapping, type OperationText } from '../openapi-document.ts';

const choice = z
  .object({
    consumer: z.string(),
    positions: z.array(z.string()).max(1_000).optional(),
    subject: z.string().optional(),
    all: z.literal(true).optional(),
  })
  .describe('A consumer with `positions`, a `subject`, or `all`');
const page = z.object({
  limit: z.int().max(1_000).optional(),
  skip: z.int().optional(),
  subject: z.string().optional(),
});
const EVENTS: Readonly<Record<string, OperationText>> = {
  'GET /streams': { summary: 'Streams of events', who: 'admin' },
  'GET /asyncapi': { summary: 'Streams as an AsyncAPI document', who: 'admin' },
  'GET /consumers': { summary: 'Consumers to which events are delivered', who: 'admin' },
  'GET /dead': {
    summary: 'Events that could not be delivered',
    who: 'admin',
    query: page.extend({ consumer: z.string().optional() }),
  },
  'GET /dead/:consumer': {
    summary: 'Events that could not be delivered to a consumer',
    who: 'admin',
    query: page,
  },
  'GET /dead/:consumer/:position': { summary: 'One event that could not be delivered, whole', who: 'admin' },
  'POST /dead/replay': { summary: 'Delivers such events again', who: 'admin', body: choice },
  'POST /dead/drop': { summary: 'Gives such events up', who: 'admin', body: choice },
};

export function operatorPaths(): Mapping {
  return describeApi('events', PRODUCT_VERSION, EVENTS)['paths'] as Mapping;
}
