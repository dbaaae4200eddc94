/** Three real processes on SQLite: kill -9 of the queen in the states of a rollout while it spreads or goes back. */
import { queenKilledSuite } from './cluster-queen-killed.suite.ts';

queenKilledSuite('SQLite', ['waves', 'rolling-back']);
