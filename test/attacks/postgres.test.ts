/** The attacks on the identity service once more, on PostgreSQL, where races and locks are not those of SQLite. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

const FOLDER = fileURLToPath(new URL('./', import.meta.url));
/** Those that open the service by itself, whose database GATEHOUSE_TEST_POSTGRES chooses. */
const FILES = readdirSync(FOLDER).filter((name) =>
  /^(no-credential|one-address|owners-learn|strangers-lock|what-ends)[a-z-]*\.test\.ts$/.test(name),
);

describe('on PostgreSQL', () => {
  let server: PostgresServer;
  let url: string;

  before(async () => {
    server = await startPostgres();
    url = await server.database('attacks');
  });
  after(() => server?.stop());

  for (const file of FILES) {
    test(file, { timeout: 300_000 }, async () => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const child = spawn(process.execPath, ['--test', '--test-reporter=tap', `${FOLDER}${file}`], {
        env: { ...env, GATEHOUSE_TEST_POSTGRES: url },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      const status = await new Promise((done) => child.once('exit', done));
      assert.equal(
        status,
        0,
        text
          .split('\n')
          .filter((line) => /not ok|error:/.test(line))
          .join('\n'),
      );
      assert.match(text, /^# pass [1-9]/m);
    });
  }
});
