/** Mails by SMTP to a real listener: delivered, tried again, bounded, never injected into, sealed while they wait. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { describe, test } from 'node:test';
import { type Bench, makeBench, PASSWORD } from './harness.ts';

interface Sink {
  readonly port: number;
  readonly mails: { to: string[]; text: string }[];
  refuse: boolean;
  close(): void;
}

/** As much of RFC 5321 as a client needs to hand a mail over. */
async function smtpSink(): Promise<Sink> {
  const sink = { port: 0, mails: [] as Sink['mails'], refuse: false, close: () => {} };
  const server: Server = createServer((socket) => {
    let buffer = '';
    let reading = false;
    let mail = { to: [] as string[], text: '' };
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    say('220 sink');
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      buffer += chunk;
      for (;;) {
        if (reading) {
          const end = buffer.indexOf('\r\n.\r\n');
          if (end < 0) return;
          mail.text = buffer.slice(0, end);
          buffer = buffer.slice(end + 5);
          sink.mails.push(mail);
          mail = { to: [], text: '' };
          reading = false;
          say('250 taken');
          continue;
        }
        const end = buffer.indexOf('\r\n');
        if (end < 0) return;
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        if (/^EHLO/i.test(line)) say('250 sink');
        else if (/^RCPT TO:<(.*)>/i.test(line)) {
          if (sink.refuse) say('451 later');
          else {
            mail.to.push(/<(.*)>/.exec(line)?.[1] ?? '');
            say('250 ok');
          }
        } else if (/^DATA/i.test(line)) {
          reading = true;
          say('354 go on');
        } else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
        else say('250 ok');
      }
    });
    socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  sink.port = (server.address() as { port: number }).port;
  sink.close = () => server.close();
  return sink;
}

async function benchWith(t: { after(done: () => Promise<void>): void }): Promise<{ bench: Bench; sink: Sink }> {
  const sink = await smtpSink();
  const bench = await makeBench({ mail: { smtp: `smtp://127.0.0.1:${sink.port}`, from: 'Gate <gate@example.com>' } });
  t.after(async () => {
    await bench.close();
    sink.close();
  });
  return { bench, sink };
}

const settle = async (bench: Bench): Promise<void> => {
  bench.identity.context.outbox.nudge();
  await bench.identity.context.outbox.settled();
};

describe('mail by SMTP', () => {
  test('arrives, and its code confirms the address', async (t) => {
    const { bench, sink } = await benchWith(t);
    await bench.call('POST', '/register', { email: 'smtp@example.com', password: PASSWORD });
    await settle(bench);
    assert.deepEqual(sink.mails[0]?.to, ['smtp@example.com']);
    const text = (sink.mails[0]?.text ?? '').replaceAll('=\r\n', '');
    const token = /code: (\w+)/.exec(text)?.[1];
    assert.equal((await bench.call('POST', '/verify-email', { token, password: PASSWORD })).status, 200);
  });

  test('waits, sealed, while the server does not take it, and is tried again', async (t) => {
    const { bench, sink } = await benchWith(t);
    sink.refuse = true;
    const asked = await bench.call('POST', '/register', { email: 'later@example.com', password: PASSWORD });
    assert.equal(asked.status, 202, 'the caller is not told and does not wait');
    await settle(bench);
    const { db } = bench.identity.context.store;
    const [row] = await db.selectFrom('mail_outbox').selectAll().execute();
    assert.equal(row?.attempts, 1);
    assert.ok(!JSON.stringify(row).includes('later@'));
    sink.refuse = false;
    await settle(bench);
    assert.equal(sink.mails.length, 0, 'not before its time');
    bench.clock.advance(31_000);
    await settle(bench);
    assert.equal(sink.mails.length, 1);
    assert.deepEqual(await db.selectFrom('mail_outbox').selectAll().execute(), []);
  });

  test('is given up after ten tries, with a line in the log', async (t) => {
    const { bench, sink } = await benchWith(t);
    sink.refuse = true;
    await bench.call('POST', '/register', { email: 'never@example.com', password: PASSWORD });
    for (let i = 0; i < 10; i++) {
      await settle(bench);
      bench.clock.advance(3_600_000);
    }
    assert.deepEqual(await bench.identity.context.store.db.selectFrom('mail_outbox').selectAll().execute(), []);
    assert.ok(bench.logged.some((line) => line.includes('a mail was given up')));
  });
});
