import { instanceAt } from './instance.ts';
import { sourceSuite, startSource } from './source.suite.ts';
import { staticSource } from './static.ts';

const INSTANCES = [instanceAt('http://b:1'), instanceAt('http://a:1')];

sourceSuite('static', async (t) => ({
  start: () => startSource(t, staticSource, INSTANCES),
  first: ['http://b:1', 'http://a:1'],
  lookMs: 1,
}));
