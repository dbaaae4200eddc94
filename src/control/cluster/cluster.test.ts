/** The cluster on SQLite, where each test has a file of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { clusterSuite } from './cluster.suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-cluster-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

clusterSuite('SQLite', async () => `sqlite:${join(folder, `${++files}.db`)}`);
