import type { Example } from '../run.ts';

const GATEWAY = 'http://127.0.0.1:8000';
const ADA = 'ada-0123456789abcdef0123456789abcdef';
const BOB = 'bob-0123456789abcdef0123456789abcdef';
const how = `-o /dev/null -w '%{time_total} s %header{cache-status}\\n'`;

export default {
  title: 'A slow library behind a cache: hits, purges, users, and a service that fails.',
  services: [{ name: 'library', file: 'services/library.ts', port: 4121 }],
  configuration: 'gatehouse.yaml',
  port: 8000,
  env: { API_KEY_1: `${ADA}:ada:read,write:standard`, API_KEY_2: `${BOB}:bob:read:standard` },
  tries: [
    `curl -s ${how} '${GATEWAY}/books?q=walrus'                # 0.3 s: the library searches`,
    `curl -s ${how} '${GATEWAY}/books?q=walrus&utm_source=x'   # hit: this parameter does not count`,
    `curl -s ${GATEWAY}/books/1`,
    `curl -s -X PUT ${GATEWAY}/books/1 -H 'X-API-Key: ${ADA}' -d '{"price":7}'`,
    `curl -s ${GATEWAY}/books/1                               # the new price at once`,
    `curl -s ${GATEWAY}/loans -H 'X-API-Key: ${ADA}'`,
    `curl -s ${GATEWAY}/loans -H 'X-API-Key: ${BOB}'          # not Ada's`,
    `curl -s ${GATEWAY}/hours`,
    `curl -s 'http://127.0.0.1:4121/drill?broken'; sleep 3`,
    `curl -s ${GATEWAY}/hours                                 # still there, though the library fails`,
    `npm run --silent gatehouse -- cache --socket examples/cache/data/gatehouse.sock   # what is in it`,
    `npm run --silent gatehouse -- cache purge --tag author-moss --socket examples/cache/data/gatehouse.sock`,
  ],
} satisfies Example;
