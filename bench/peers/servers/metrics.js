/** Counter and histogram by prom-client, as both gateway peers on Node keep them. */
import { Counter, Histogram, register } from 'prom-client';

const requests = new Counter({ name: 'requests_total', help: 'Answers.', labelNames: ['status'] });
const seconds = new Histogram({ name: 'request_seconds', help: 'Duration.' });

export function count(status, ms) {
  requests.inc({ status });
  seconds.observe(ms / 1000);
}

export const metrics = () => register.metrics();
