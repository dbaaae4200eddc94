/** The request line and the Host field of a request to a service (RFC 9112 §3, §3.2). */
import { constant } from '../wire/outbox.ts';
import type { MessageWriter } from './message-writer.ts';

const GET = constant('GET ');
const SPACE = constant(' ');
const QUESTION_MARK = constant('?');
const VERSION_AND_HOST = constant(' HTTP/1.1\r\nHost: ');

/** `basePath`: before `path`, of the instance's own URL. `query`: without `?`; null for none. */
export function writeRequestLine(
  outbox: MessageWriter,
  method: string,
  authority: string,
  basePath: string,
  path: string,
  query: string | null,
): void {
  if (method === 'GET') outbox.bytes(GET, 0, 4);
  else {
    outbox.text(method);
    outbox.bytes(SPACE, 0, 1);
  }
  if (basePath !== '') outbox.text(basePath);
  outbox.text(path);
  if (query !== null) {
    outbox.bytes(QUESTION_MARK, 0, 1);
    outbox.text(query);
  }
  outbox.bytes(VERSION_AND_HOST, 0, VERSION_AND_HOST.length);
  outbox.text(authority);
  outbox.end();
}
