/**
 * What an open console costs a worker at 10,000 requests a second: the share of its time that the live tail takes when
 * somebody watches everything, an error that never comes, and one request by its id. The clock of the rounds is that of
 * 10,000 requests a second, so the bounds of a second hold as they do there. The goal is 1 % at most.
 */
import { createMetricsBuffer, MetricsBank } from '../../src/base/metrics.ts';
import type { TailFilter } from '../../src/data/contract/tail.ts';
import type { RecordedExchange } from '../../src/data/response/access-record.ts';
import { Tail } from '../../src/data/response/tail.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

const PER_SECOND = 10_000;
const ANY: TailFilter = { route: null, leastStatus: 0, mostStatus: 999, text: null };
/** As long as a usual record. */
const RECORD = `"request_id":"b13d507f-0fc7-4aa2-a18a-9f569d6b261d","method":"GET","path":"/notes/7","status":200,"duration_ms":10.413,"upstream_ms":7.972,"bytes_in":0,"bytes_out":1009,"address":"127.0.0.1","protocol":"http/1.1","host":"127.0.0.1","route":"api","service":"up","instance":"http://127.0.0.1:9901","user_agent":"curl/7.88.1"}`;

const EXCHANGE: RecordedExchange = {
  requestId: 'b13d507f-0fc7-4aa2-a18a-9f569d6b261d',
  trace: null,
  address: '127.0.0.1',
  method: 'GET',
  host: '127.0.0.1',
  path: '/notes/7',
  query: '',
  protocol: '1.1',
  bytesReceived: 0,
  bytesSent: 1_009,
  routeId: 'api',
  grpcStatus: -1,
  subject: null,
  fault: null,
  call: null,
  attempt: {
    firstByteMs: 7.972,
    service: { settings: { name: 'up' } },
    endpoint: { settings: { url: 'http://127.0.0.1:9901' } },
  },
  header: () => 'curl/7.88.1',
};

function watching(filter: TailFilter) {
  const metrics = new MetricsBank(createMetricsBuffer({ workers: 1, routes: 2, instances: 2 }), 0);
  // What a message to the main thread costs, without the thread.
  const tail = new Tail({ filters: [filter], perSecond: 200 }, (lines) => void structuredClone(lines), metrics);
  let nowMs = 0;
  return (rounds: number): number => {
    for (let round = 0; round < rounds; round++) {
      nowMs += 1_000 / PER_SECOND;
      if (!tail.wants(EXCHANGE, 200, nowMs, '') || !tail.log.begin(nowMs)) continue;
      tail.log.text(RECORD);
      tail.end();
    }
    return nowMs;
  };
}

/** Of nanoseconds a request, the share of a worker's time at 10,000 of them a second. */
function asShare({ name, value, quiet = value }: Row): Row {
  const share = (ns: number): number => (ns * PER_SECOND) / 1e7;
  return { name, value: share(value), quiet: share(quiet), unit: '% of a worker at 10,000 requests/s', atMost: 1 };
}

export function run(): Row[] {
  return [
    measure('tail: everything, 200 a second', watching(ANY)),
    measure('tail: errors, and there are none', watching({ ...ANY, leastStatus: 400 })),
    measure('tail: one request by its id', watching({ ...ANY, text: 'c24e618f-1ad8-5bb3-b29b-0a67ae7c372e' })),
    measure('tail: a text that could be anywhere', watching({ ...ANY, text: '"status":404' })),
  ].map(asShare);
}
