import type { Example } from '../run.ts';

const PORT = Number(process.env['GATEWAY_PORT'] ?? 8000);
const APP_PORT = Number(process.env['APP_PORT'] ?? 4001);

export default {
  title: 'A browser application: sign in, a list of notes over HTTP, and what others write over WebSocket.',
  services: [{ name: 'app', file: 'services/app.ts', port: APP_PORT }],
  configuration: 'gatehouse.yaml',
  port: PORT,
  env: { GATEWAY_PORT: String(PORT), APP_PORT: String(APP_PORT) },
  tries: [`open http://localhost:${PORT}/ in a browser, create an account, open it in a second window`],
} satisfies Example;
