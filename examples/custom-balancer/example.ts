import type { Example } from '../run.ts';

export default {
  title: 'Three renderers, one with a graphics card, behind a balancing algorithm of our own.',
  services: [
    { name: 'renderer (gpu)', file: 'services/renderer.ts', port: 4101, env: { INSTANCE: 'gpu-1', HAS: 'gpu' } },
    { name: 'renderer (2)', file: 'services/renderer.ts', port: 4102, env: { INSTANCE: 'plain-1' } },
    { name: 'renderer (3)', file: 'services/renderer.ts', port: 4103, env: { INSTANCE: 'plain-2' } },
  ],
  configuration: 'gatehouse.yaml',
  port: 8000,
  tries: [
    `curl -s http://127.0.0.1:8000/render/frame/1 -H 'X-Needs: gpu'   # always gpu-1`,
    'curl -s http://127.0.0.1:8000/render/frame/1                     # plain-1 or plain-2',
  ],
} satisfies Example;
