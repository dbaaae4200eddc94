/**
 * Tells the workers what access records look like, and rotates the file: moves it away and has every worker open it
 * anew. Lines on their way land in the file that was moved: none is lost.
 */
import { readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { RECORDS_SETTINGS_TOPIC, REOPEN_TOPIC } from '../../data/contract/access-records.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import type { RotationPlan } from './section.ts';

const LOOK_EVERY_MS = 1_000;

export interface AccessRecordsFeature extends Feature {
  /** After a file was moved away by somebody else. */
  reopen(): void;
}

export function accessRecordsFeature(host: Pick<FeatureHost, 'bus' | 'log'>): AccessRecordsFeature {
  let reopened = 0;
  let published = 'null';
  let timer: NodeJS.Timeout | undefined;
  let sinceMs = Date.now();
  let current: { readonly file: string; readonly rotation: RotationPlan } | undefined;
  let isLooking = false;

  const use = ({ plan, snapshot }: Compiled): void => {
    const records = plan.gateway.accessRecords;
    const text = JSON.stringify(records?.settings ?? null);
    if (text !== published) host.bus.publish(RECORDS_SETTINGS_TOPIC, records?.settings ?? null);
    published = text;
    const { accessLog } = snapshot.gateway;
    const file = typeof accessLog === 'object' ? accessLog.file : undefined;
    if (file !== current?.file) sinceMs = Date.now();
    current = file === undefined || records?.rotation == null ? undefined : { file, rotation: records.rotation };
    clearInterval(timer);
    timer = current === undefined ? undefined : setInterval(() => void look(), LOOK_EVERY_MS).unref();
  };

  const look = async (): Promise<void> => {
    if (current === undefined || isLooking) return;
    isLooking = true;
    const { file, rotation } = current;
    try {
      const { size } = await stat(file);
      const isLarge = rotation.maxBytes !== null && size >= rotation.maxBytes;
      const isOld = rotation.everyMs !== null && Date.now() - sinceMs >= rotation.everyMs;
      if (size > 0 && (isLarge || isOld)) await rotate(file, rotation.keep);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        host.log.error('the access log could not be rotated', { file, problem: messageOf(error) });
    } finally {
      isLooking = false;
    }
  };

  const rotate = async (file: string, keep: number): Promise<void> => {
    const stamp = new Date().toISOString().replace(/[-:]/g, '').replace('.', '');
    await rename(file, `${file}.${stamp}`);
    sinceMs = Date.now();
    reopen();
    const prefix = `${basename(file)}.`;
    const moved = (await readdir(dirname(file)))
      .filter((name) => name.startsWith(prefix) && /^\d{8}T\d+Z$/.test(name.slice(prefix.length)))
      .sort();
    for (const name of moved.slice(0, -keep)) await unlink(join(dirname(file), name));
  };

  const reopen = (): void => host.bus.publish(REOPEN_TOPIC, ++reopened);

  return {
    reopen,
    async start(compiled) {
      use(compiled);
    },
    applied: use,
    async stop() {
      clearInterval(timer);
    },
  };
}
