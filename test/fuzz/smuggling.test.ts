/**
 * Request smuggling through a whole gateway: two callers at once send damaged pipelines, each with a mark of its own,
 * to one gateway in front of an upstream that records every byte. What the upstream got is read again by the strict
 * reader and by Node: as many whole requests as the callers got answers, with the bodies that they sent, and no answer
 * ever with the other caller's mark.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { rawUpstream } from '../support/upstream.ts';
import { mutate } from './support/mutate.ts';
import { nodeRequests } from './support/node-reader.ts';
import { Random } from './support/random.ts';
import { type ReadMessage, readAnswers, readRequests, valuesOf } from './support/strict-reader.ts';

const SEED = 20_260_104;
const ROUNDS = 500;
/** Both are as long as each other, and no mutation makes one of the other. */
const MARKS = ['alphaalphaalpha', 'bravobravobravo'] as const;
type Mark = (typeof MARKS)[number];

/** One connection to the upstream: what came, and how much of it was answered. */
interface Recorded {
  text: string;
  answered: number;
}

const said = (mark: Mark) => [
  `GET /get/${mark} HTTP/1.1\r\nHost: a\r\nX-Mark: ${mark}\r\n\r\n`,
  `POST /length/${mark} HTTP/1.1\r\nHost: a\r\nX-Mark: ${mark}\r\nContent-Length: 20\r\n\r\n${mark}12345`,
  `POST /chunks/${mark} HTTP/1.1\r\nHost: a\r\nX-Mark: ${mark}\r\nTransfer-Encoding: chunked\r\n\r\nf;x="y"\r\n${mark}\r\n5\r\n12345\r\n0\r\nX-Check: ${mark}\r\n\r\n`,
  `PUT /both/${mark}?a=b HTTP/1.1\r\nX-Mark: ${mark}\r\nConnection: keep-alive, X-Gone\r\nX-Gone: 1\r\nHost: a\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  `DELETE http://b/absolute/${mark} HTTP/1.1\r\nHost: a\r\nX-Mark: ${mark}\r\nContent-Length: 0\r\n\r\n`,
  `OPTIONS /old/${mark} HTTP/1.0\r\nConnection: keep-alive\r\nX-Mark: ${mark}\r\n\r\n`,
];

describe('damaged pipelines of two callers', () => {
  const scope = suiteScope();
  const recorded: Recorded[] = [];
  let gateway: TestGateway;
  before(async () => {
    const upstream = await rawUpstream(scope, (socket) => record(socket, recorded));
    gateway = await startTestGateway(scope, {
      services: { s: { instances: [{ url: upstream.url }], retries: 0, pool: { maxConnections: 2 } } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
  });

  test('reach the upstream as the requests that were answered, and never the other caller', async (t) => {
    const random = new Random(SEED);
    let answers = 0;
    let refusals = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const texts = MARKS.map((mark) => pipeline(mark, random));
      const callers = await Promise.all(texts.map((text) => exchange(gateway.port, text, random)));
      callers.forEach((caller, who) => {
        const what = `${JSON.stringify(texts[who])} (seed ${SEED}, round ${round})`;
        checkCaller(caller, texts[who]!, MARKS[1 - who]!, what);
        answers += caller.filter(isFromUpstream).length;
        refusals += caller.filter((answer) => answer.status >= 400).length;
      });
    }
    const whole = await checkUpstream(recorded);
    assert.equal(whole, answers, 'as many whole requests reached the upstream as were answered by it');
    t.diagnostic(`seed ${SEED}: ${answers} answers of the upstream, ${refusals} refusals`);
    assert.ok(answers > ROUNDS && refusals > ROUNDS / 5, `${answers} answers, ${refusals} refusals`);
  });
});

function pipeline(mark: Mark, random: Random): string {
  const parts = said(mark);
  const sound = Array.from({ length: 1 + random.below(3) }, () => random.oneOf(parts)).join('');
  const damaged = mutate(sound, random, random.oneOf(parts));
  // What follows shows where the gateway thinks that the damaged part ends; the last one ends the connection.
  return `${damaged}GET /last/${mark} HTTP/1.1\r\nHost: a\r\nX-Mark: ${mark}\r\nConnection: close\r\n\r\n`;
}

/**
 * Sends the text in one or two pieces and reads until the connection closes, or until every request that the strict
 * reader finds in the text is answered and what is left is none, or none yet.
 */
async function exchange(port: number, text: string, random: Random): Promise<ReadMessage[]> {
  const { messages: sent, rest: left } = readRequests(text);
  const methods = sent.map(({ method }) => method);
  const caller = new RawCaller(port);
  const cut = random.below(3) === 0 ? [random.below(text.length + 1)] : [];
  await caller.sendSplit(text, cut);
  const answers = (): ReadMessage[] => {
    const ended = caller.closed || caller.socket.readableEnded;
    const { messages, rest } = readAnswers(caller.received.toString('latin1'), methods, ended);
    assert.equal(
      typeof rest,
      'string',
      `${JSON.stringify(rest)} in ${JSON.stringify(caller.received.toString('latin1'))}`,
    );
    return messages.filter(({ status }) => status >= 200);
  };
  await until(
    () => {
      if (caller.closed || caller.socket.readableEnded) return true;
      return (left === 'done' || left === 'incomplete') && answers().length >= sent.length;
    },
    `the gateway answers or closes: ${JSON.stringify(text)}`,
  );
  const received = answers();
  caller.close();
  return received;
}

function isFromUpstream(answer: ReadMessage): boolean {
  return valuesOf(answer.fields, 'x-from').length > 0;
}

function checkCaller(answers: readonly ReadMessage[], text: string, otherMark: Mark, what: string): void {
  for (const answer of answers) {
    assert.doesNotMatch(JSON.stringify(answer), new RegExp(otherMark), `the other caller's answer: ${what}`);
  }
  // The upstream says which target and body it got: those of the requests that this caller sent, in their order.
  const mine = readRequests(text).messages;
  let next = 0;
  for (const answer of answers.filter(isFromUpstream)) {
    const said = answer.body;
    while (next < mine.length && echo(mine[next]!) !== said) next++;
    assert.ok(next < mine.length, `the upstream got what was not sent: ${JSON.stringify(said)} of ${what}`);
    next++;
  }
}

/** What the upstream answers with: target and body as it read them. */
function echo({ method, target, body }: Pick<ReadMessage, 'method' | 'target' | 'body'>): string {
  const [, path = '', query = ''] = /^([^?]*)(.*)$/s.exec(target.replace(/^https?:\/\/[^/?]*/i, ''))!;
  return JSON.stringify([method, `${spelled(path).replace(/^(?!\/)/, '/')}${query}`, body]);
}

/** The one spelling of a path: what must be encoded is. Said twice, it is the same. */
function spelled(path: string): string {
  return path.replaceAll(
    /%(?![0-9a-f]{2})|[^\w\-.~!$&'()*+,;=:@/%]/gi,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function record(socket: Socket, recorded: Recorded[]): void {
  const mine: Recorded = { text: '', answered: 0 };
  recorded.push(mine);
  socket.on('data', (bytes: Buffer) => {
    mine.text += bytes.toString('latin1');
    const { messages } = readRequests(mine.text);
    for (const message of messages.slice(mine.answered)) {
      mine.answered++;
      const body = message.method === 'HEAD' ? '' : echo(message);
      const head = `HTTP/1.1 200 OK\r\nX-From: upstream\r\nContent-Length: ${echo(message).length}\r\n\r\n`;
      socket.write(head + body, 'latin1');
    }
  });
}

/** Reads all that the upstream got once more, in both ways; the number of whole requests. */
async function checkUpstream(recorded: readonly Recorded[]): Promise<number> {
  let whole = 0;
  for (const { text, answered } of recorded) {
    const strict = readRequests(text);
    assert.ok(
      typeof strict.rest === 'string',
      `the upstream got ${JSON.stringify(strict.rest)}: ${JSON.stringify(text.slice(-600))}`,
    );
    assert.equal(strict.messages.length, answered);
    whole += answered;
    // Node knows only registered methods; its parser sees each request by itself so that one does not hide the rest.
    let at = 0;
    for (const message of strict.messages) {
      const node = await nodeRequests(text.slice(at, message.end));
      at = message.end;
      if (node.error === 'HPE_INVALID_METHOD') continue;
      const what = JSON.stringify([node.error, text.slice(at - 600, at)]);
      assert.equal(node.messages.length, 1, what);
      const [seen] = node.messages;
      assert.deepEqual(
        [seen!.method, seen!.target, seen!.body, seen!.complete],
        [message.method, message.target, message.body, true],
        what,
      );
    }
  }
  return whole;
}
