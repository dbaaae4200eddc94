/** A database that takes connections and answers nothing keeps a gateway neither from its end nor in silence. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CutLine } from '../support/cut-line.ts';
import { startTestGateway } from '../support/gateway.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

const ENV = { GATEHOUSE_MASTER_KEY: 'a master key of more than thirty-two characters' };
/** Features have ten seconds together; each alone would have waited 15 to 24. */
const MOST_MS = 14_000;

describe('a database that hangs', () => {
  let postgres: PostgresServer;
  before(async () => {
    postgres = await startPostgres();
  });
  after(() => postgres.stop());

  for (const [name, sections] of Object.entries({
    accounts: { identity: { enabled: true } },
    quotas: { quotas: { month: { per: 'month', limit: 1_000 } } },
    events: { events: { streams: { s: {} } } },
  })) {
    test(`does not keep a gateway with ${name} from its end`, async (t) => {
      const address = new URL(await postgres.database(`hangs_${name}`));
      const line = await CutLine.to('127.0.0.1', Number(address.port));
      t.after(() => line.close());
      address.port = String(line.port);
      const gateway = await startTestGateway(
        t,
        {
          stores: { sql: address.href },
          ...sections,
          routes: [{ match: { path: '/*' }, respond: { body: 'hello' }, auth: 'public' }],
        },
        ENV,
      );
      line.cut();
      assert.equal(await (await fetch(`${gateway.url}/x`)).text(), 'hello');
      const begun = performance.now();
      await gateway.stop({ timeoutMs: 0 });
      const tookMs = performance.now() - begun;
      assert.ok(tookMs < MOST_MS, `${Math.round(tookMs)} ms`);
    });
  }
});
