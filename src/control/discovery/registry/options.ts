/**
 * The section `registry`: where services register themselves, with which token, and how long a registration lasts
 * without a heartbeat. Which services take registrations is each service's own `discovery.registry`.
 */
import { hash } from 'node:crypto';
import * as z from 'zod';
import { duration, MAX_TIMER_MS, secret } from '../../../base/zod-units.ts';
import { defineSection } from '../../config/section.ts';
import type { DampingSettings } from './damping.ts';
import type { RegistrySettings } from './leases.ts';

/** Short enough to type, long enough not to be guessed over the network. */
const MIN_TOKEN_LENGTH = 16;
const token = secret(MIN_TOKEN_LENGTH).max(1_024);
const span = { min: 1_000, max: MAX_TIMER_MS };

const damping = z
  .strictObject({
    after: z
      .int()
      .min(1)
      .max(100)
      .prefault(3)
      .describe('The comeback, within `window`, that is the first to be held back.'),
    hold: duration(span).prefault('10s').describe('How long the first time; each further comeback doubles it.'),
    maxHold: duration(span).prefault('5m').describe('Longest time that an instance is held back.'),
    window: duration(span).prefault('10m').describe('Comebacks longer ago than this are forgotten.'),
  })
  .check(({ value, issues }) => {
    if (value.hold <= value.maxHold) return;
    const expected = `at most maxHold (${value.maxHold} ms)`;
    issues.push({
      code: 'custom',
      path: ['hold'],
      input: value.hold,
      message: 'longer than maxHold',
      params: { expected },
    });
  });

const lease = z
  .strictObject({
    default: duration(span).prefault('30s').describe('For registrations that name none.'),
    min: duration(span).prefault('5s').describe('Shortest that a registration may ask for.'),
    max: duration(span).prefault('10m').describe('Longest that a registration may ask for.'),
  })
  .check(({ value, issues }) => {
    if (value.min <= value.default && value.default <= value.max) return;
    const expected = `from min (${value.min} ms) to max (${value.max} ms)`;
    const input = value.default;
    issues.push({
      code: 'custom',
      path: ['default'],
      input,
      message: 'outside of its own bounds',
      params: { expected },
    });
  });

export const registryOptions = z.strictObject({
  token: z
    .union([token, z.array(token).min(1).max(16)])
    .describe(
      'Bearer token that services register with, 16 characters or more; a list while one is replaced by another.',
    ),
  path: z
    .string()
    .regex(/^\/[A-Za-z0-9/_.-]*[A-Za-z0-9]$/, 'must be a path such as /api/v1/registry')
    .prefault('/api/v1/registry')
    .describe('Path under which the registration API is served.'),
  lease: lease.prefault({}).describe('How long a registration lasts without a heartbeat.'),
  restartGrace: duration(span)
    .prefault('30s')
    .describe(
      'How long restored registrations last at least after a restart, so that services can send their heartbeats again.',
    ),
  damping: z
    .union([z.literal('off'), damping])
    .prefault({})
    .describe('How instances that come and go again and again are held back, or `off`.'),
});

/** As written in a configuration. */

export interface RegistrySection {
  readonly settings: RegistrySettings;
  /** SHA-256 of each token, hex: the tokens themselves are not kept. */
  readonly tokenHashes: readonly string[];
  readonly path: string;
}

/** Holds nothing back. */
const NO_DAMPING: DampingSettings = { after: Number.MAX_SAFE_INTEGER, holdMs: 0, maxHoldMs: 0, windowMs: 1 };

export function registrySettings(options: z.output<typeof registryOptions>): RegistrySection {
  const { damping: held } = options;
  return {
    tokenHashes: [options.token].flat().map(hashToken),
    path: options.path,
    settings: {
      leaseMs: options.lease,
      restartGraceMs: options.restartGrace,
      damping:
        held === 'off'
          ? NO_DAMPING
          : { after: held.after, holdMs: held.hold, maxHoldMs: held.maxHold, windowMs: held.window },
    },
  };
}

export function hashToken(text: string): string {
  return hash('sha256', text, 'hex');
}

export const registrySection = defineSection({
  at: 'top',
  key: 'registry',
  schema: registryOptions.describe('Services that register themselves, by a token. Default: none can.'),
  variables: [
    {
      name: 'GATEHOUSE_REGISTRY_TOKEN',
      path: ['registry', 'token'],
      meaning: 'Bearer token with which services register themselves.',
    },
  ],
  /** Null: no instance can register. */
  compile(options, context): RegistrySection | null {
    if (options === undefined) return null;
    const section = registrySettings(options);
    context.addRoute({
      id: 'builtin:registry',
      service: 'builtin:registry',
      path: `${section.path}/*`,
      methods: ['GET', 'POST', 'PUT', 'DELETE'],
      movedBy: 'registry.path',
      isOperations: true,
    });
    return section;
  },
});
