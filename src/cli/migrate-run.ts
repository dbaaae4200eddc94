/** `gatehouse migrate`: brings the database of the identity service up to this version, before the gateway starts. */
import { join } from 'node:path';
import { withEnvironment } from '../control/identity/environment.ts';
import { IDENTITY_MIGRATIONS } from '../control/identity/migrations.ts';
import { identityOptions } from '../control/identity/options.ts';
import { migrate } from '../control/store/migrate.ts';
import { openStore, withoutSecret } from '../control/store/store.ts';
import { type CommonValues, identityCommand, identitySettings, UsageError } from './identity-common.ts';

export const runMigrate = identityCommand<CommonValues>(async (values, words, io) => {
  if (words.length > 0) throw new UsageError(`migrate takes no "${words[0]}"`);
  const { options, dataDir, storeUrl } = await identitySettings(values.config, io);
  const url =
    withEnvironment(identityOptions.parse(options), io.env).store ??
    storeUrl ??
    `sqlite:${join(dataDir, 'identity.db')}`;
  const store = await openStore(url);
  try {
    const report = await migrate(store, 'identity', IDENTITY_MIGRATIONS);
    const done = report.applied.length === 0 ? 'nothing to do' : `applied ${report.applied.join(', ')}`;
    io.out(
      values.json
        ? `${JSON.stringify({ store: withoutSecret(url), ...report })}\n`
        : `${withoutSecret(url)}: ${done}\n`,
    );
    return 0;
  } finally {
    await store.close();
  }
});
