/**
 * Gets each message as a signed call and keeps the newest. A call without a good signature is
 * refused, and an id that it has seen has no second effect. A project of your own would use the package
 * `standardwebhooks`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';

const MOST = 100;
/** Older calls may be replays. */
const MOST_AGE_SECONDS = 300;

export function audit(secret: string): Server {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const kept = new Map<string, unknown>();
  return createServer((request, response) => {
    void readAll(request).then((body) => {
      if (request.method === 'GET') {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify([...kept.values()]));
        return;
      }
      if (!isSigned(request, body, key)) {
        response.writeHead(401).end();
        return;
      }
      const id = String(request.headers['webhook-id']);
      if (!kept.has(id)) {
        const { subject, data } = JSON.parse(body.toString()) as { subject: string; data: unknown };
        kept.set(id, { subject, data });
        const [oldest] = kept.keys();
        if (kept.size > MOST && oldest !== undefined) kept.delete(oldest);
      }
      response.writeHead(204).end();
    });
  });
}

function isSigned({ headers }: IncomingMessage, body: Buffer, key: Buffer): boolean {
  const timestamp = String(headers['webhook-timestamp']);
  if (Math.abs(Date.now() / 1_000 - Number(timestamp)) <= MOST_AGE_SECONDS === false) return false;
  const wanted = createHmac('sha256', key).update(`${headers['webhook-id']}.${timestamp}.`).update(body).digest();
  return String(headers['webhook-signature'])
    .split(' ')
    .some((signature) => {
      const found = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
      return found.byteLength === wanted.byteLength && timingSafeEqual(found, wanted);
    });
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

if (import.meta.main) {
  const { PORT = '4022', AUDIT_SECRET = '' } = process.env;
  audit(AUDIT_SECRET).listen(Number(PORT), '127.0.0.1');
}
