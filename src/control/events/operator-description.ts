/** The API for operators in the document of the admin API: paths as the feature has them. */
import * as z from 'zod';
import { AUDIENCES } from '../audience.ts';
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, inlinePaths, type Mapping, type OperationText } from '../openapi-document.ts';
import { asyncApi } from './api-description.ts';

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
const consumer = z.object({
  name: z.string(),
  stream: z.string(),
  service: z.string(),
  runs: z.string(),
  position: z.string().nullable(),
  lag: z.number().nullable(),
  pending: z.int(),
  retrying: z.int(),
  dead: z.int(),
  delivered: z.int(),
  failed: z.int(),
  problem: z.string().nullable(),
});
const deadLetters = z.object({
  dead: z.array(
    z.object({
      consumer: z.string(),
      position: z.string(),
      id: z.string(),
      subject: z.string(),
      key: z.string(),
      attempts: z.int(),
      problem: z.string().nullable(),
      since: z.string(),
    }),
  ),
  hasMore: z.boolean(),
});
const EVENTS: Readonly<Record<string, OperationText>> = {
  'GET /streams': {
    summary: 'Streams of events',
    who: 'admin',
    response: z.object({
      streams: z.array(
        z.object({
          name: z.string(),
          engine: z.string(),
          latest: z.string().nullable(),
          problem: z.string().nullable(),
          subscribers: z.int(),
        }),
      ),
    }),
  },
  'GET /asyncapi': {
    summary: 'Channels as an AsyncAPI document',
    who: 'admin',
    query: z.object({ audience: z.enum(AUDIENCES).optional().describe('Default: admin.') }),
    response: asyncApi,
  },
  'GET /consumers': {
    summary: 'Consumers to which events are delivered',
    who: 'admin',
    response: z.object({ consumers: z.array(consumer) }),
  },
  'GET /dead': {
    summary: 'Events that could not be delivered',
    who: 'admin',
    query: page.extend({ consumer: z.string().optional() }),
    response: deadLetters,
  },
  'GET /dead/:consumer': {
    summary: 'Events that could not be delivered to a consumer',
    who: 'admin',
    query: page,
    response: deadLetters,
  },
  'GET /dead/:consumer/:position': {
    summary: 'One event that could not be delivered, whole',
    who: 'admin',
    response: z.object({ consumer: z.string(), position: z.string(), event: z.looseObject({ id: z.string() }) }),
  },
  'POST /dead/replay': {
    summary: 'Delivers such events again',
    who: 'admin',
    body: choice,
    response: z.object({ replayed: z.int() }),
  },
  'POST /dead/drop': {
    summary: 'Gives such events up',
    who: 'admin',
    body: choice,
    response: z.object({ dropped: z.int() }),
  },
};

export function operatorPaths(): Mapping {
  return inlinePaths(describeApi('events', PRODUCT_VERSION, EVENTS));
}
