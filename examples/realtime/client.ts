/** What one caller gets, with resuming: `KEY=... npx node examples/realtime/client.ts [ws://127.0.0.1:8000/ws]`. */
import { WebSocket } from 'ws';

const url = process.argv[2] ?? 'ws://127.0.0.1:8000/ws';
/** Of the newest message: where to go on after a loss. */
let last = '';

function connect(): void {
  const ws = new WebSocket(last === '' ? url : `${url}?after=${last}`, 'gatehouse.v1', {
    headers: { 'x-api-key': process.env['KEY'] ?? '' },
  });
  ws.on('open', () => console.log('connected'));
  ws.on('message', (text) => {
    const message = JSON.parse(text.toString()) as { type: string; id?: string; topic?: string; data?: unknown };
    last = message.id ?? last;
    if (message.type === 'message') console.log(message.topic, JSON.stringify(message.data));
    else console.log(message.type);
  });
  ws.on('error', (error) => console.log(error.message));
  // Not all at once when a gateway restarts.
  ws.on('close', () => setTimeout(connect, 1_000 + Math.random() * 2_000));
}

connect();
