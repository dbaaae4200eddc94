/** Counts the words of a text while it streams in, so that it works at any length. */
import { createServer } from 'node:http';

const MOST_FREQUENT = 5;

const server = createServer((request, response) => {
  const answer = (status: number, body: unknown): void => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  };
  if (request.url === '/health') return answer(200, { status: 'ok' });
  if (request.method !== 'POST' || request.url !== '/words') return answer(404, { error: 'POST a text to /words' });
  const counts = new Map<string, number>();
  let rest = '';
  const count = (text: string): void => {
    for (const word of text.toLowerCase().match(/[\p{L}\p{N}'’-]+/gu) ?? [])
      counts.set(word, (counts.get(word) ?? 0) + 1);
  };
  request.setEncoding('utf8');
  request.on('data', (chunk: string) => {
    const text = rest + chunk;
    const cut = text.search(/\s\S*$/);
    rest = cut < 0 ? text : text.slice(cut);
    if (cut >= 0) count(text.slice(0, cut));
  });
  request.on('end', () => {
    count(rest);
    const frequent = [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, MOST_FREQUENT);
    answer(200, {
      words: [...counts.values()].reduce((sum, n) => sum + n, 0),
      distinct: counts.size,
      frequent: Object.fromEntries(frequent),
    });
  });
});

server.listen(Number(process.env['PORT']), '127.0.0.1');
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    server.close();
    server.closeIdleConnections();
  });
}
