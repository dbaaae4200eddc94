/**
 * Writes the stream of security events: lines are gathered for a moment and appended to the file or standard output.
 * Never holds anything up: what the disk is too slow for, and more than so many a second, is counted and left out, and
 * the next line says how many are missing before it.
 */
import { BlockWriter } from '../../base/block-writer.ts';
import { messageOf } from '../../base/errors.ts';
import { Redaction } from '../../base/redaction.ts';
import {
  SECURITY_EVENTS_TOPIC,
  SECURITY_WANTED_TOPIC,
  type SecurityBatch,
  type SecurityEvent,
} from '../../data/contract/security-events.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { FileRotation } from '../file-rotation.ts';
import { LATELY, RecentGrowth } from '../recent-growth.ts';
import { redactionOf } from '../redaction.ts';
import type { SecurityEventsPlan } from './section.ts';

const GATHER_MS = 100;
const MOST_PER_SECOND = 1_000;
const MOST_WAITING_BYTES = 4 * 1024 ** 2;

type Host = Pick<FeatureHost, 'bus' | 'log' | 'security' | 'writeStdout'>;

export function securityEventsFeature(host: Host): Feature {
  const writer = new BlockWriter(host.log);
  const counts = new Map<string, number>();
  let plan: SecurityEventsPlan | null = null;
  let redaction = new Redaction();
  let gathered = '';
  let timer: NodeJS.Timeout | null = null;
  let waiting = 0;
  let dropped = 0;
  let untold = 0;
  const losses = new RecentGrowth(() => dropped);
  let windowMs = 0;
  let inWindow = 0;

  const target = async (): Promise<void> =>
    await writer.target(plan === null || plan.file === null ? 'off' : { file: plan.file });
  const reopen = (): void =>
    void target().catch((error: unknown) =>
      host.log.error('the file of security events cannot be opened', { file: plan?.file, problem: messageOf(error) }),
    );
  const rotation = new FileRotation(host.log, 'file of security events', reopen);

  const flush = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (gathered === '') return;
    const lines = Buffer.from(gathered);
    gathered = '';
    waiting += lines.length;
    const done = (): void => {
      waiting -= lines.length;
    };
    if (plan?.file === null) host.writeStdout(lines, done);
    else writer.write(lines, done);
  };
  const leaveOut = (count: number): void => {
    dropped += count;
    untold += count;
  };
  const write = ({ event, atMs, fields }: SecurityEvent): void => {
    if (plan === null || plan.leftOut.some((each) => (each.endsWith('.') ? event.startsWith(each) : event === each)))
      return;
    counts.set(event, (counts.get(event) ?? 0) + 1);
    const second = Math.floor(performance.now() / 1_000);
    if (second !== windowMs) inWindow = 0;
    windowMs = second;
    if (++inWindow > MOST_PER_SECOND || waiting > MOST_WAITING_BYTES) {
      leaveOut(1);
      return;
    }
    const shown = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '');
    gathered += `${JSON.stringify({
      time: new Date(atMs).toISOString(),
      log: 'security',
      event,
      ...redaction.value(Object.fromEntries(shown)),
      ...(untold === 0 ? {} : { left_out_before: untold }),
    })}\n`;
    untold = 0;
    timer ??= setTimeout(flush, GATHER_MS);
  };

  /** Another target; what was gathered goes where it was meant to go. */
  const use = (next: SecurityEventsPlan | null): boolean => {
    flush();
    const isMoved = next?.file !== plan?.file;
    if ((next === null) !== (plan === null)) {
      host.security.listen(next === null ? null : write);
      host.bus.publish(SECURITY_WANTED_TOPIC, next !== null);
    }
    plan = next;
    losses.keep(plan !== null);
    rotation.use(plan?.file ?? undefined, plan?.rotation ?? null);
    return isMoved;
  };

  return {
    async start(compiled: Compiled) {
      host.bus.onTell(SECURITY_EVENTS_TOPIC, (data) => {
        const { events, leftOut } = data as SecurityBatch;
        if (leftOut > 0) leaveOut(leftOut);
        for (const each of events) write(each);
      });
      redaction = redactionOf(compiled.plan);
      use(compiled.plan.gateway.securityEvents);
      if (plan !== null) await target();
    },
    applied(compiled: Compiled) {
      redaction = redactionOf(compiled.plan);
      if (use(compiled.plan.gateway.securityEvents)) reopen();
    },
    reopen: () => {
      if (plan !== null) reopen();
    },
    status() {
      const lost = losses.lately;
      if (plan === null || lost === 0) return {};
      const message = `${lost} were left out ${LATELY}: too many, or the disk is full or too slow`;
      return { troubles: [{ severity: 'warning', subject: 'security events', message }] };
    },
    metrics() {
      if (plan === null) return [];
      return [
        {
          name: 'gatehouse_security_events_total',
          type: 'counter',
          help: 'Security events by name',
          samples: [...counts].map(([event, value]) => ({ labels: { event }, value })),
        },
        {
          name: 'gatehouse_security_events_dropped_total',
          type: 'counter',
          help: 'Security events left out of the stream because there were too many or the disk was too slow',
          samples: [{ labels: {}, value: dropped }],
        },
      ];
    },
    async stop() {
      host.security.listen(null);
      losses.stop();
      rotation.stop();
      flush();
      await writer.close();
    },
  };
}
