/** Frames of server-sent events say what the event is, whether its bytes are copied or read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { event } from './engines/engine.suite.ts';
import type { NewEvent } from './engines/engine.ts';
import { dataText, eventJson, eventLines } from './event-json.ts';

const eventWith = (contentType: string, data: string | Uint8Array): NewEvent => ({
  ...event('e1'),
  subject: 'käse.🧀',
  contentType,
  attributes: { type: 'tüp', source: '/s' },
  data: Buffer.from(data as string),
});

/** Data as a browser puts them together again (WHATWG HTML, "Interpreting an event stream"). */
function dataOf(frame: Buffer): string {
  const text = frame.toString();
  assert.ok(text.startsWith('id: 7\n') && text.endsWith('\n\n'));
  const lines = text.slice(0, -2).split(/\r\n|\r|\n/);
  assert.ok(lines.slice(1).every((line) => line.startsWith('data: ')));
  return lines
    .slice(1)
    .map((line) => line.slice('data: '.length))
    .join('\n');
}

test('an event as a server-sent event reads as the event, whatever its type, lines and bytes', () => {
  for (const contentType of ['application/json', 'application/vnd.a+json; charset=utf-8', 'text/plain', 'image/png']) {
    for (const data of ['{"a":"ä🧀"}', '', '{\n"a":\r\n1\r}', 'plain', new Uint8Array([0x7b, 0xff, 0x7d])]) {
      const each = eventWith(contentType, data);
      for (const [format, text] of [
        ['data', dataText(each)],
        ['cloudevent', eventJson(each)],
      ] as const) {
        const read = dataOf(eventLines('id: 7\n', each, format));
        assert.equal(read, text.replace(/\r\n|\r/g, '\n'), `${contentType} ${format} ${JSON.stringify(data)}`);
      }
    }
  }
});

test('types without number are told apart all the same', () => {
  for (let i = 0; i < 300; i++) assert.equal(dataText(eventWith(`image/a${i}`, 'x')), 'eA==');
  assert.equal(dataText(eventWith('text/plain', 'x')), 'x');
  assert.equal(dataText(eventWith('IMAGE/JSON ; a=b', 'x')), 'x');
});
