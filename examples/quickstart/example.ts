import type { Example } from '../run.ts';

export default {
  title: 'Two services behind Gatehouse: notes (two instances that share one database) and words.',
  services: [
    { name: 'notes (1)', file: 'services/notes.ts', port: 4001, env: { INSTANCE: 'notes-1' } },
    { name: 'notes (2)', file: 'services/notes.ts', port: 4002, env: { INSTANCE: 'notes-2' } },
    { name: 'words', file: 'services/words.ts', port: 4003 },
  ],
  configuration: 'gatehouse.yaml',
  port: 8000,
  tries: [
    `curl -i http://127.0.0.1:8000/api/notes -H 'Content-Type: application/json' -d '{"text":"hello"}'`,
    'curl -i http://127.0.0.1:8000/api/notes        # again and again: Served-By changes',
    `curl -s http://127.0.0.1:8000/api/words -d 'the cat and the hat'`,
    'curl -s http://127.0.0.1:8000/health/detailed',
  ],
} satisfies Example;
