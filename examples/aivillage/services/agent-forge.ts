/**
 * The Agent Forge: trains small models in seven phases, in the background, lists them, and lets people talk with them.
 */
import { randomUUID } from 'node:crypto';
import type { Hono } from 'hono';
import * as z from 'zod';
import {
  callerOf,
  createApp,
  endOnSignal,
  notFound,
  Refusal,
  type Running,
  readBody,
  run,
} from '../../shared/service.ts';
import { ForgeStore } from './forge/forge-store.ts';
import { Model, randomFrom } from './forge/model.ts';
import { PHASES } from './forge/phases.ts';
import { type Tell, Trainer } from './forge/trainer.ts';

const [MAX_WAITING, TURNS_READ] = [10, 6];

const trainBody = z.strictObject({
  phase_name: z.enum(PHASES, { message: `one of ${PHASES.join(', ')}` }),
  /** False: says what would be done, and does nothing. */
  real_training: z.boolean().default(true),
  max_steps: z.int().min(1).max(20_000).default(2_000),
  batch_size: z.int().min(1).max(16).default(2),
  /** Model to begin with; default: the newest. */
  base_model_id: z.string().max(100).optional(),
});
const chatBody = z.strictObject({
  model_id: z.string().min(1).max(100),
  message: z.string().trim().min(1).max(4_000),
  conversation_id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,100}$/, 'letters, digits, _ and -')
    .optional(),
});

export function createForge(store: ForgeStore, wake: () => void): Hono {
  const app = createApp('agent-forge', 'flat');
  app.post('/v1/models/train', async (context) => {
    const { id: user } = callerOf(context);
    const {
      phase_name: phase,
      real_training,
      max_steps,
      batch_size,
      base_model_id,
    } = await readBody(context, trainBody);
    const base = phase === 'cognate' ? null : (base_model_id ?? store.models()[0]?.id ?? null);
    if (phase !== 'cognate' && base === null)
      throw new Refusal(409, 'VALIDATION_ERROR', 'Invalid phase order', {
        field: 'phase_name',
        value: phase,
        expected: 'cognate first: there is no model to begin with',
      });
    if (base !== null && store.weights(base) === undefined) throw notFound(`there is no model ${base}`);
    const plan = { phase_name: phase, max_steps, batch_size, base_model_id: base, phases: PHASES };
    if (!real_training) return context.json({ success: true, status: 'dry_run', ...plan });
    if (store.waiting() >= MAX_WAITING)
      throw new Refusal(503, 'SERVICE_UNAVAILABLE', 'as many trainings as may be wait already');
    const job = store.addJob({ user, phase, base, max_steps, batch_size });
    wake();
    return context.json({ success: true, status: 'queued', job_id: job, ...plan, progress: '/ws' }, 202);
  });
  app.get('/v1/models', (context) => {
    const { id } = callerOf(context);
    return context.json({ success: true, phases: PHASES, models: store.models(), training: store.jobs(id) });
  });
  app.post('/v1/chat', async (context) => {
    const { id: user } = callerOf(context);
    const { model_id, message, conversation_id = `conv-${randomUUID()}` } = await readBody(context, chatBody);
    const weights = store.weights(model_id);
    if (weights === undefined) throw notFound(`there is no model ${model_id}`);
    store.addTurn(user, conversation_id, { role: 'user', text: message });
    const before = store.turns(user, conversation_id, TURNS_READ);
    const prompt = before.map(({ role, text }) => `${role === 'user' ? 'you' : 'village'}: ${text}\n`).join('');
    const said = new Model(weights).write(`${prompt}village:`, randomFrom(before.length * 7_919));
    const response = said === '' ? '...' : said;
    store.addTurn(user, conversation_id, { role: 'assistant', text: response });
    return context.json({ success: true, model_id, conversation_id, response, turns: before.length + 1 });
  });
  return app;
}

export interface ForgeOptions {
  readonly file: string;
  readonly port: number;
  readonly gateway: string;
  /** API key with the role `service`. */
  readonly key: string;
}

export async function startForge({ file, port, gateway, key }: ForgeOptions): Promise<Running> {
  const store = new ForgeStore(file);
  const ended = new AbortController();
  const tell: Tell = async (user, news) => {
    const response = await fetch(`${gateway}/internal/training/${encodeURIComponent(user)}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-API-Key': key },
      body: JSON.stringify(news),
      signal: ended.signal,
    }).catch(() => undefined);
    await response?.arrayBuffer();
  };
  const trainer = new Trainer(store, tell);
  const running = await run(
    createForge(store, () => trainer.wake()),
    port,
  );
  trainer.wake();
  return {
    ...running,
    async close() {
      ended.abort();
      await trainer.close();
      await running.close();
      store.close();
    },
  };
}

if (import.meta.main) {
  const { PORT = '0', FORGE_KEY = '', AIVILLAGE_DATA = '.', GATEWAY = 'http://127.0.0.1:8000' } = process.env;
  const running = await startForge({
    file: `${AIVILLAGE_DATA}/forge.db`,
    port: Number(PORT),
    gateway: GATEWAY,
    key: FORGE_KEY,
  });
  endOnSignal(() => running.close());
}
