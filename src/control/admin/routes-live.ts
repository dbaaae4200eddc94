/** What happens now: events, traffic by the second, profiles of the process; and who is signed in. */
import * as z from 'zod';
import type { Access } from './access.ts';
import { AdminError, eventStream, type Kit, operation } from './kit.ts';
import type { Recorder } from './recorder.ts';
import { cpuProfile, heapProfile, logged, point } from './responses.ts';
import { ROLES } from './section.ts';

const LONGEST_PROFILE_MS = 60_000;

export function liveRoutes(kit: Kit, access: Access, recorder: Recorder, consoleUrl: () => string | null): void {
  const { host } = kit;

  operation(
    kit,
    {
      method: 'get',
      path: '/me',
      tag: 'gateway',
      summary: 'Who asks, and with which role',
      role: 'viewer',
      response: z.object({ name: z.string(), role: z.enum(ROLES) }),
    },
    ({ operator }) => ({ name: operator.name, role: operator.role }),
  );

  operation(
    kit,
    {
      method: 'post',
      path: '/links',
      tag: 'gateway',
      summary: 'A link to the console that signs in once, within five minutes',
      role: 'admin',
      body: z.strictObject({ role: z.enum(ROLES).prefault('admin') }),
      response: z.object({ url: z.string() }),
      errors: { 409: 'The console has no listener' },
    },
    async ({ body, operator }) => {
      const url = consoleUrl();
      if (url === null)
        throw new AdminError(409, 'CONFLICT', 'the console has no listener: set admin.listen, such as 127.0.0.1:8001');
      await host.audit({ actor: operator.name, action: 'admin.link', target: 'console', detail: { role: body.role } });
      // Behind the hash, so that no server and no log ever gets it with a request line.
      return { url: `${url}/console/#link=${access.makeLink({ name: operator.name, role: body.role })}` };
    },
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/traffic',
      tag: 'gateway',
      summary: 'Traffic of the last ten minutes, one point every two seconds',
      role: 'viewer',
      response: z.object({ points: z.array(point) }),
    },
    () => ({ points: recorder.points() }),
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/traffic/stream',
      tag: 'gateway',
      summary: 'The same as it comes: server-sent events named `point`',
      role: 'viewer',
      mediaType: 'text/event-stream',
      response: z.string(),
    },
    () => eventStream((send) => recorder.follow((point) => send('point', point))),
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/events',
      tag: 'gateway',
      summary: 'The last lines of the process log',
      role: 'viewer',
      query: z.object({ after: z.coerce.number().int().min(0).prefault(0).describe('Those with a greater id.') }),
      response: z.object({ events: z.array(logged) }),
    },
    ({ query }) => ({ events: host.events.after(query.after) }),
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/events/stream',
      tag: 'gateway',
      summary: 'The same as they come: server-sent events named `log`; `Last-Event-ID` goes on where one left off',
      role: 'viewer',
      mediaType: 'text/event-stream',
      response: z.string(),
    },
    ({ context }) => {
      const last = Number(context.req.header('last-event-id') ?? Number.NaN);
      return eventStream((send) => {
        if (Number.isInteger(last)) for (const event of host.events.after(last)) send('log', event, event.id);
        return host.events.follow((event) => send('log', event, event.id));
      });
    },
  );

  for (const kind of ['cpu', 'heap'] as const)
    operation(
      kit,
      {
        method: 'post',
        path: `/profiles/${kind}`,
        tag: 'gateway',
        summary:
          kind === 'cpu'
            ? 'A CPU profile of a worker or the main thread, for Chromium’s developer tools (.cpuprofile)'
            : 'Who allocates the memory of a worker or the main thread: samples of what was allocated meanwhile and is still there (.heapprofile)',
        role: 'admin',
        body: z.strictObject({
          worker: z.int().min(0).optional().describe('Index of the worker; absent for the main thread.'),
          ms: z.int().min(100).max(LONGEST_PROFILE_MS).prefault(5_000).describe('How long, in milliseconds.'),
        }),
        response: kind === 'cpu' ? cpuProfile : heapProfile,
        errors: { 404: 'No such worker', 409: 'A profile is being taken' },
      },
      async ({ body, operator }) => {
        await host.audit({
          actor: operator.name,
          action: 'admin.profile',
          target: `worker ${body.worker ?? 'main'}`,
          detail: { kind, ms: body.ms },
        });
        const text = await profile(kit, kind, body.worker, body.ms);
        return new Response(text, { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } });
      },
    );
}

let profiling = false;

async function profile({ host }: Kit, kind: 'cpu' | 'heap', worker: number | undefined, ms: number): Promise<string> {
  if (profiling) throw new AdminError(409, 'CONFLICT', 'a profile is being taken already');
  profiling = true;
  try {
    if (worker !== undefined) {
      const text = await host.workers.profile(kind, worker, ms);
      if (text === null) throw new AdminError(404, 'RESOURCE_NOT_FOUND', 'there is no such worker');
      return text;
    }
    const { Session } = await import('node:inspector/promises');
    const session = new Session();
    session.connect();
    try {
      const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
      if (kind === 'heap') {
        await session.post('HeapProfiler.startSampling');
        await wait();
        return JSON.stringify((await session.post('HeapProfiler.stopSampling')).profile);
      }
      await session.post('Profiler.enable');
      await session.post('Profiler.start');
      await wait();
      return JSON.stringify((await session.post('Profiler.stop')).profile);
    } finally {
      session.disconnect();
    }
  } finally {
    profiling = false;
  }
}
