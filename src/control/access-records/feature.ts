/** Tells the workers what access records look like, and has every worker open a file anew that was moved away. */
import { RECORDS_SETTINGS_TOPIC, REOPEN_TOPIC } from '../../data/contract/access-records.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature, OperatorHost } from '../feature.ts';
import { FileRotation } from '../file-rotation.ts';
import { LATELY, RecentGrowth } from '../recent-growth.ts';

export interface AccessRecordsFeature extends Feature {
  /** After a file was moved away by somebody else. */
  reopen(): void;
}

export function accessRecordsFeature(host: Pick<OperatorHost, 'bus' | 'log' | 'metrics'>): AccessRecordsFeature {
  let reopened = 0;
  let published = 'null';
  const reopen = (): void => host.bus.publish(REOPEN_TOPIC, ++reopened);
  const losses = new RecentGrowth(() => host.metrics.number('access_log_dropped'));
  const rotation = new FileRotation(host.log, 'access log', reopen);

  const use = ({ plan, snapshot }: Compiled): void => {
    const records = plan.gateway.accessRecords;
    const text = JSON.stringify(records?.settings ?? null);
    if (text !== published) host.bus.publish(RECORDS_SETTINGS_TOPIC, records?.settings ?? null);
    published = text;
    const { accessLog } = snapshot.gateway;
    losses.keep(accessLog !== 'off');
    rotation.use(typeof accessLog === 'object' ? accessLog.file : undefined, records?.rotation ?? null);
  };

  return {
    reopen,
    async start(compiled) {
      use(compiled);
    },
    applied: use,
    status() {
      const lost = losses.lately;
      if (lost === 0) return {};
      const message = `${lost} access records were lost ${LATELY}: the disk or pipe is full or too slow`;
      return { troubles: [{ severity: 'warning', subject: 'access log', message }] };
    },
    async stop() {
      losses.stop();
      rotation.stop();
    },
  };
}
