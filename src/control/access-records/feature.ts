/** Tells the workers what access records look like, and has every worker open a file anew that was moved away. */
import { RECORDS_SETTINGS_TOPIC, REOPEN_TOPIC } from '../../data/contract/access-records.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { FileRotation } from '../file-rotation.ts';

export interface AccessRecordsFeature extends Feature {
  /** After a file was moved away by somebody else. */
  reopen(): void;
}

export function accessRecordsFeature(host: Pick<FeatureHost, 'bus' | 'log'>): AccessRecordsFeature {
  let reopened = 0;
  let published = 'null';
  const reopen = (): void => host.bus.publish(REOPEN_TOPIC, ++reopened);
  const rotation = new FileRotation(host.log, 'access log', reopen);

  const use = ({ plan, snapshot }: Compiled): void => {
    const records = plan.gateway.accessRecords;
    const text = JSON.stringify(records?.settings ?? null);
    if (text !== published) host.bus.publish(RECORDS_SETTINGS_TOPIC, records?.settings ?? null);
    published = text;
    const { accessLog } = snapshot.gateway;
    rotation.use(typeof accessLog === 'object' ? accessLog.file : undefined, records?.rotation ?? null);
  };

  return {
    reopen,
    async start(compiled) {
      use(compiled);
    },
    applied: use,
    async stop() {
      rotation.stop();
    },
  };
}
