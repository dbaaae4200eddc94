/**
 * What the cluster API takes and gives, as Zod schemas: they check input, type output, and are the OpenAPI document.
 * Times are ISO 8601, durations milliseconds.
 */
import { z } from '@hono/zod-openapi';
import type { ClusterEvent } from './events.ts';
import type { JoinToken } from './join-tokens.ts';
import type { ClusterNode } from './members.ts';
import type { Message } from './messages.ts';
import type { Rollout, Version } from './rollout.ts';
import type { Task } from './tasks.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const name = z.string().regex(NAME, '1 to 63 letters, digits, ".", "_" or "-", beginning with a letter or digit');
const labels = z
  .record(name, z.string().max(128))
  .refine((entries) => Object.keys(entries).length <= 32, 'at most 32 labels');
const time = z.iso.datetime();
const reason = z.string().trim().min(1).max(500);
const MAX_DURATION_MS = 30 * 86_400_000;

// --- nodes ---------------------------------------------------------------------------------------------------------

export const nodeSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: z.enum(['gateway', 'worker']),
    url: z.string().nullable(),
    zone: z.string().nullable(),
    labels: z.record(z.string(), z.string()),
    state: z.enum(['active', 'cordoned', 'draining', 'left']),
    state_reason: z.string().nullable(),
    state_by: z.string().nullable(),
    presence: z.enum(['alive', 'suspect', 'gone', 'left']),
    is_queen: z.boolean(),
    joined_at: time,
    seen_at: time,
    starts: z.int(),
    software: z.string().nullable(),
    health: z.string(),
    load: z.record(z.string(), z.number()),
    capacity: z.int(),
    applied_version: z.int(),
    wanted_version: z.int(),
    apply_problem: z.string().nullable(),
  })
  .openapi('Node');

export function shownNode(node: ClusterNode, queen: string | null): z.output<typeof nodeSchema> {
  return {
    id: node.id,
    name: node.name,
    kind: node.kind,
    url: node.url,
    zone: node.zone,
    labels: { ...node.labels },
    state: node.state,
    state_reason: node.stateReason,
    state_by: node.stateBy,
    presence: node.presence,
    is_queen: node.name === queen,
    joined_at: iso(node.joinedAtMs),
    seen_at: iso(node.seenAtMs),
    starts: node.incarnation,
    software: node.software,
    health: node.health,
    load: { ...node.load },
    capacity: node.capacity,
    applied_version: node.appliedVersion,
    wanted_version: node.wantedVersion,
    apply_problem: node.applyProblem,
  };
}

export const joinSchema = z
  .strictObject({
    name,
    url: z.url().max(2_048).nullable().default(null),
    zone: z.string().min(1).max(64).nullable().default(null),
    labels: labels.default({}),
    capacity: z.int().min(0).max(10_000).default(1),
    software: z.string().max(128).nullable().default(null),
  })
  .openapi('Join');

export const heartbeatSchema = z
  .strictObject({
    health: z.enum(['healthy', 'degraded', 'unhealthy']).optional(),
    load: z
      .record(name, z.number())
      .refine((entries) => Object.keys(entries).length <= 16, 'at most 16 numbers')
      .optional(),
    capacity: z.int().min(0).max(10_000).optional(),
  })
  .openapi('Heartbeat');

export const reasonSchema = z.strictObject({ reason }).openapi('Reason');
export const labelsSchema = z.strictObject({ labels }).openapi('Labels');

export const joinTokenSchema = z
  .strictObject({
    labels: labels.default({}),
    zone: z.string().min(1).max(64).nullable().default(null),
    ttl_ms: z.int().min(1_000).max(MAX_DURATION_MS).default(3_600_000),
    uses: z.int().min(1).max(10_000).nullable().default(1),
  })
  .openapi('JoinToken');

export const madeTokenSchema = z.object({ id: z.string(), token: z.string(), expires_at: time }).openapi('MadeToken');

export const listedTokenSchema = z
  .object({
    id: z.string(),
    labels: z.record(z.string(), z.string()),
    zone: z.string().nullable(),
    /** Null: as often as wanted. */
    uses_left: z.int().nullable(),
    created_by: z.string(),
    created_at: time,
    expires_at: time,
  })
  .openapi('ListedToken');

export function shownToken(token: JoinToken): z.output<typeof listedTokenSchema> {
  return {
    id: token.id,
    labels: { ...token.labels },
    zone: token.zone,
    uses_left: token.usesLeft,
    created_by: token.createdBy,
    created_at: iso(token.createdAtMs),
    expires_at: iso(token.expiresAtMs),
  };
}

// --- tasks ---------------------------------------------------------------------------------------------------------

export const MAX_PAYLOAD_BYTES = 256 * 1024;

export const newTaskSchema = z
  .strictObject({
    kind: name,
    payload: z.unknown().default(null),
    selector: labels.default({}),
    affinity: labels.default({}),
    priority: z.int().min(-100).max(100).default(0),
    max_attempts: z.int().min(1).max(100).default(3),
    timeout_ms: z.int().min(1_000).max(86_400_000).default(60_000),
  })
  .openapi('NewTask');

const taskState = z.enum(['queued', 'assigned', 'running', 'done', 'failed', 'cancelled']);

export const taskSchema = z
  .object({
    id: z.string(),
    kind: z.string(),
    payload: z.unknown(),
    selector: z.record(z.string(), z.string()),
    affinity: z.record(z.string(), z.string()),
    priority: z.int(),
    state: taskState,
    node_id: z.string().nullable(),
    attempt: z.int(),
    max_attempts: z.int(),
    timeout_ms: z.int(),
    progress: z.number(),
    result: z.unknown(),
    error: z.string().nullable(),
    created_by: z.string(),
    created_at: time,
    updated_at: time,
  })
  .openapi('Task');

export function shownTask(task: Task): z.output<typeof taskSchema> {
  return {
    id: task.id,
    kind: task.kind,
    payload: task.payload,
    selector: { ...task.selector },
    affinity: { ...task.affinity },
    priority: task.priority,
    state: task.state,
    node_id: task.nodeId,
    attempt: task.attempt,
    max_attempts: task.maxAttempts,
    timeout_ms: task.timeoutMs,
    progress: task.progress,
    result: task.result,
    error: task.error,
    created_by: task.createdBy,
    created_at: iso(task.createdAtMs),
    updated_at: iso(task.updatedAtMs),
  };
}

export const taskListQuery = z.object({
  state: taskState.optional(),
  kind: name.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

export const reportSchema = z
  .strictObject({ attempt: z.int().min(1), progress: z.number().min(0).max(1).optional() })
  .openapi('Report');
export const resultSchema = z
  .strictObject({ attempt: z.int().min(1), result: z.unknown().default(null) })
  .openapi('Result');
export const failureSchema = z
  .strictObject({ attempt: z.int().min(1), error: z.string().min(1).max(2_000), final: z.boolean().default(false) })
  .openapi('Failure');

// --- messages and events -------------------------------------------------------------------------------------------

export const newMessageSchema = z
  .strictObject({
    to: z.string().min(1).max(64),
    topic: name,
    body: z.unknown().default(null),
    ttl_ms: z.int().min(1_000).max(MAX_DURATION_MS).default(3_600_000),
  })
  .openapi('NewMessage');

export const messageSchema = z
  .object({
    id: z.int(),
    from: z.string(),
    topic: z.string(),
    body: z.unknown(),
    created_at: time,
    deliveries: z.int(),
  })
  .openapi('Message');

export function shownMessage(message: Message): z.output<typeof messageSchema> {
  const { createdAtMs, ...rest } = message;
  return { ...rest, created_at: iso(createdAtMs) };
}

export const eventSchema = z
  .object({
    id: z.int(),
    at: time,
    type: z.string(),
    subject: z.string(),
    data: z.record(z.string(), z.unknown()),
    epoch: z.int().nullable(),
  })
  .openapi('Event');

export function shownEvent(event: ClusterEvent): z.output<typeof eventSchema> {
  const { atMs, data, ...rest } = event;
  return { ...rest, at: iso(atMs), data: { ...data } };
}

export const afterQuery = z.object({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  /** Seconds to wait for something new. */
  wait: z.coerce.number().min(0).max(30).default(0),
});

// --- rollouts ------------------------------------------------------------------------------------------------------

export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

export const newRolloutSchema = z
  .strictObject({
    document: z.string().min(1).max(MAX_DOCUMENT_BYTES).optional(),
    /** Instead of a document: a version of the history. */
    version: z.int().min(1).optional(),
    reason,
    force: z.boolean().default(false),
    watch_ms: z.int().min(0).max(86_400_000).optional(),
    /** How long each wave is watched; half of `watch_ms` where only that is given. */
    wave_watch_ms: z.int().min(0).max(86_400_000).optional(),
    /** Watched for so long at most until there was traffic enough to judge it, then rolled back. */
    judge_within_ms: z.int().min(0).max(86_400_000).nullable().optional(),
    waves: z.array(z.number().min(0.001).max(1)).min(1).max(20).optional(),
    canary_share: z.number().min(0.001).max(1).optional(),
  })
  .refine((body) => (body.document === undefined) !== (body.version === undefined), {
    message: 'either document or version',
    path: ['document'],
  })
  .openapi('NewRollout');

export const rolloutSchema = z
  .object({
    id: z.string(),
    version: z.int(),
    from_version: z.int(),
    state: z.string(),
    state_at: time,
    reason: z.string().nullable(),
    /** Was there traffic enough to compare it? Null before it was watched. */
    judged: z.boolean().nullable(),
    canary: z.array(z.string()),
    wave: z.int(),
    created_by: z.string(),
    created_at: time,
  })
  .openapi('Rollout');

export function shownRollout(rollout: Rollout): z.output<typeof rolloutSchema> {
  return {
    id: rollout.id,
    version: rollout.version,
    from_version: rollout.fromVersion,
    state: rollout.state,
    state_at: iso(rollout.stateAtMs),
    reason: rollout.reason,
    judged: rollout.isJudged,
    canary: [...rollout.canary],
    wave: rollout.wave,
    created_by: rollout.createdBy,
    created_at: iso(rollout.createdAtMs),
  };
}

export const versionSchema = z
  .object({
    version: z.int(),
    hash: z.string(),
    author: z.string(),
    reason: z.string(),
    created_at: time,
    document: z.string().optional(),
  })
  .openapi('Version');

export const differenceSchema = z
  .object({ version: z.int(), from: z.int(), lines: z.array(z.string()) })
  .openapi('Difference');

export function shownVersion(version: Omit<Version, 'document'> & { document?: string }) {
  const { createdAtMs, ...rest } = version;
  return { ...rest, created_at: iso(createdAtMs) };
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
