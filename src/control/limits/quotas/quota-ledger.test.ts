import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { ledgerSuite } from './quota-ledger.suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-quota-'));
let files = 0;

ledgerSuite({
  name: 'SQLite',
  runs: 25,
  async database(kind) {
    return kind === 'shared' ? `sqlite:${join(folder, `usage-${++files}.db`)}` : 'sqlite::memory:';
  },
});

// After the suite's own hook, which closes the files.
after(() => rmSync(folder, { recursive: true, force: true }));
