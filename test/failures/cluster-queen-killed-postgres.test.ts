/** Three real processes on PostgreSQL: kill -9 of the queen in every state of a rollout. */
import { queenKilledSuite } from './cluster-queen-killed.suite.ts';

queenKilledSuite('PostgreSQL');
