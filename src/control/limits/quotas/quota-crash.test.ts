import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { crashSuite } from './quota-crash.suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-crash-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

crashSuite({ name: 'SQLite', database: async () => `sqlite:${join(folder, `usage-${++files}.db`)}` });
