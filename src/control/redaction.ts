/** What `gateway.accessRecords.redact.patterns` hide, for others than the access log that show the same things. */
import { Redaction } from '../base/redaction.ts';
import type { Compiled } from './config/compile.ts';

export function redactionOf(plan: Compiled['plan']): Redaction {
  return new Redaction(plan.gateway.accessRecords?.settings.hiddenPatterns);
}
