/** `gatehouse identity`: the identity service as a process of its own, for deployments that scale it apart. */

import { createLogger } from '../base/log.ts';
import { createIdentity } from '../control/identity/identity.ts';
import { type CommonValues, identityCommand, identitySettings, UsageError } from './identity-common.ts';
import { untilEnded } from './until-ended.ts';

interface Values extends CommonValues {
  readonly listen?: string;
  readonly socket?: string;
}

export const runIdentity = identityCommand<Values>(async (values, words, io) => {
  if (words.length > 0) throw new UsageError(`identity takes no "${words[0]}"`);
  if (values.listen !== undefined && values.socket !== undefined) throw new UsageError('either --listen or --socket');
  const where = values.socket ?? address(values.listen ?? '127.0.0.1:8081');
  const { options, dataDir, storeUrl, trustProxy } = await identitySettings(values.config, io);
  const log = createLogger('info', (line) => io.err(`${line}\n`));
  const deps = { dataDir, environment: io.env, trustProxy, log, print: (text: string) => io.err(`${text}\n`) };
  // Signals count from here on: one that comes while the service starts must not be lost.
  const ended = untilEnded(io, log);
  const identity = await createIdentity(options, {
    ...deps,
    ...(storeUrl === undefined ? {} : { storeUrl }),
    ...(typeof where === 'string' || where.port === 0 ? {} : { localUrl: `http://${hostText(where)}` }),
  });
  try {
    const { port } = await identity.start(where);
    const shown = typeof where === 'string' ? where : `http://${where.host}:${port}`;
    io.out(values.json ? `${JSON.stringify({ listening: shown })}\n` : `identity service on ${shown}\n`);
    return await ended;
  } finally {
    await identity.close();
  }
});

function hostText({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function address(text: string): { host: string; port: number } {
  const match = /^(\[[0-9a-f:]+\]|[^:]+):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw new UsageError(`--listen must read HOST:PORT, not "${text}"`);
  return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port };
}
