/**
 * Three real processes on SQLite: kill -9 of the queen in the states of a rollout until the canary has been watched.
 */
import { queenKilledSuite } from './cluster-queen-killed.suite.ts';

queenKilledSuite('SQLite', ['checking', 'canary', 'watching']);
