import { randomBytes } from 'node:crypto';
import type { Example } from '../run.ts';

/** Ports and folder can be set from outside; the same variables stand in gatehouse.yaml. */
const port = (name: string, usual: number): number => Number(process.env[name] ?? usual);
const gateway = port('STORYVERSE_PORT', 8000);
const library = port('LIBRARY_PORT', 4203);
const generator = port('GENERATOR_PORT', 4204);
const url = `http://127.0.0.1:${gateway}`;
/** A partner's key, made anew at each start and shown once: high-volume access needs one. */
const partnerKey = randomBytes(18).toString('base64url');

export default {
  title: 'StoryVerse: stories for families, with accounts, quotas and a generator that runs here.',
  services: [
    {
      name: 'stories (1)',
      file: 'services/stories.ts',
      port: port('STORIES_1_PORT', 4201),
      env: { INSTANCE: 'stories-1' },
    },
    {
      name: 'stories (2)',
      file: 'services/stories.ts',
      port: port('STORIES_2_PORT', 4202),
      env: { INSTANCE: 'stories-2' },
    },
    { name: 'library', file: 'services/library.ts', port: library },
    { name: 'generator', file: 'services/generator.ts', port: generator },
  ],
  configuration: 'gatehouse.yaml',
  port: gateway,
  env: { API_KEY_1: `${partnerKey}:partner:library:read,generate:text:partner` },
  tries: [
    `curl -s ${url}/docs                                  # open to all; everything else needs a token`,
    `TOKEN=$(curl -s ${url}/api/auth/register -H 'Content-Type: application/json' \\`,
    `  -d '{"email":"ada@example.com","username":"ada","password":"ancient walrus paints 9 fences"}' | grep -o '"accessToken":"[^"]*"' | cut -d'"' -f4)`,
    `curl -s ${url}/api/generate/text -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"prompt":"a fox in a snowy garden","characters":["alice"]}'`,
    `curl -s ${url}/api/generate/image -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"text":"A fox and a hare in the snowy forest at night."}' > story.svg`,
    `curl -s ${url}/api/generate/audio -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"text":"Once upon a time there was a fox."}' > story.wav`,
    `curl -s ${url}/api/v1/usage -H "Authorization: Bearer $TOKEN"      # what is used up, for you and for billing`,
    `curl -s ${url}/api/universes -H 'X-API-Key: ${partnerKey}'`,
  ],
} satisfies Example;
