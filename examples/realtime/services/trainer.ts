/**
 * Trains models, as far as this example goes, and tells the progress through the hub of the gateway. Serves the page
 * too.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const PHASES = 7;
const PAGE = readFileSync(new URL('../page.html', import.meta.url));

export function trainer(gateway: () => string, key: string, phaseMs = 700): Server {
  const tell = async (user: string, message: object): Promise<void> => {
    const response = await fetch(`${gateway()}/ws/topics/training.${encodeURIComponent(user)}.progress`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': key },
      body: JSON.stringify(message),
    });
    if (response.status !== 202) throw new Error(`the hub answered ${response.status}: ${await response.text()}`);
    await response.arrayBuffer();
  };
  const train = async (user: string): Promise<void> => {
    for (let phase = 1; phase <= PHASES; phase++) {
      await delay(phaseMs);
      await tell(user, { type: 'training_progress', phase, progress: phase / PHASES });
    }
    await tell(user, { type: 'training_complete' });
  };
  return createServer((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE);
      return;
    }
    // The gateway says who calls; clients cannot.
    train(String(request.headers['x-auth-subject'])).catch((error: unknown) => console.error(error));
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"training"}');
  });
}

if (import.meta.main) {
  const { PORT = '4021', TRAINER_KEY = '', GATEWAY = 'http://127.0.0.1:8000' } = process.env;
  trainer(() => GATEWAY, TRAINER_KEY).listen(Number(PORT), '127.0.0.1');
}
