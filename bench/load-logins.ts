/**
 * Sign-ins without end, a process of its own: `node bench/load-logins.ts PLAN` with a LoginPlan as JSON; prints a
 * LoginResult when it gets SIGTERM. Each caller sends its next sign-in as soon as the last was answered, so that as
 * many as there are callers wait at the gateway all the time; a 503 is tried again after the second that it asks for.
 */
import { connect } from 'node:net';
import { MessageReader } from './lib/wire.ts';

export interface LoginPlan {
  readonly port: number;
  readonly callers: number;
  /** Right and wrong sign-ins, given in turn. */
  readonly bodies: readonly string[];
}

export interface LoginResult {
  /** Answers by status; `broken` counts connections that were lost. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly seconds: number;
}

if (import.meta.main) run(JSON.parse(process.argv[2] ?? '') as LoginPlan);

function run(plan: LoginPlan): void {
  const statuses: Record<string, number> = {};
  let next = 0;
  let stopped = false;
  const startedAt = performance.now();
  const requests = plan.bodies.map(
    (body) =>
      `POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1:${plan.port}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const count = (status: string): void => {
    statuses[status] = (statuses[status] ?? 0) + 1;
  };

  function open(): void {
    let status = '';
    const socket = connect({ port: plan.port, host: '127.0.0.1', noDelay: true });
    const send = (): void => {
      socket.write(requests[next++ % requests.length] ?? '');
    };
    const reader = new MessageReader({
      head: (head) => {
        status = head.slice(9, 12);
      },
      body: () => {},
      end: () => {
        count(status);
        if (stopped) return;
        if (status === '503') setTimeout(send, 1_000);
        else send();
      },
    });
    socket.on('data', (chunk: Buffer) => reader.feed(chunk));
    socket.once('connect', send);
    socket.once('error', () => socket.destroy());
    socket.once('close', () => {
      if (stopped) return;
      count('broken');
      setTimeout(open, 100);
    });
  }

  for (let i = 0; i < plan.callers; i++) open();
  process.once('SIGTERM', () => {
    stopped = true;
    const result: LoginResult = { statuses, seconds: (performance.now() - startedAt) / 1_000 };
    process.stdout.write(JSON.stringify(result), () => process.exit(0));
  });
}
