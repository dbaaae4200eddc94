import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatFor } from './negotiation.ts';

const PROTOBUF = 'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited';
/** As Prometheus 2.42 asks with and without its flag for native histograms. */
const OPEN =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
const NATIVE = `${PROTOBUF},${OPEN.replace('1.0.0,', '1.0.0;q=0.8,')}`;

it('gives what is weighed most, of several the first, and protobuf only where it is offered', () => {
  assert.equal(formatFor(OPEN, true), 'openmetrics');
  assert.equal(formatFor(NATIVE, true), 'protobuf');
  assert.equal(formatFor(NATIVE, false), 'openmetrics');
  assert.equal(formatFor('text/plain, application/openmetrics-text', true), 'prometheus');
  assert.equal(formatFor('text/plain;q=0.2, application/openmetrics-text;q=0.3', true), 'openmetrics');
  assert.equal(formatFor('Application/JSON ; q=0.9, text/plain;q=0.8', true), 'json');
  assert.equal(formatFor('text/plain;q=0, application/json;q=0.1', true), 'json');
});

it('gives nothing of its own accord to who names none', () => {
  for (const accept of [
    undefined,
    '',
    '*/*',
    'text/html',
    'text/plain;q=0',
    'text/plain;q=x',
    'text/plain;q=2',
    `${PROTOBUF};q=0`,
  ])
    assert.equal(formatFor(accept, true), null, String(accept));
  // Other messages, or the same as text, are other formats.
  for (const accept of ['application/vnd.google.protobuf', PROTOBUF.replace('delimited', 'text')])
    assert.equal(formatFor(accept, true), null, String(accept));
});
