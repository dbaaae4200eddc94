/**
 * Three real processes on PostgreSQL: kill -9 of the queen in the states of a rollout while it spreads or goes back.
 */
import { queenKilledSuite } from './cluster-queen-killed.suite.ts';

queenKilledSuite('PostgreSQL', ['waves', 'rolling-back']);
