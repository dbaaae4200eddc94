/**
 * The thread that the event bridge runs in: takes settings from feature.ts, serves the bridge on its socket, and
 * reports once a second. Messages are handled one after the other.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../base/errors.ts';
import { createLogger, type LogLevel } from '../../base/log.ts';
import { LocalServer } from '../local-server.ts';
import { Bridge, type BridgeSettings } from './bridge.ts';
import type { BridgeReport } from './metrics.ts';
import type { OperationRequest, OperationResponse } from './operations.ts';

export interface BridgeThreadData {
  /** Of `builtin:events`. */
  readonly socketPath: string;
  /** The process that has the socket is being replaced. */
  readonly replacesSockets: boolean;
  readonly logLevel: LogLevel;
  readonly settings: BridgeSettings;
}

export type ToBridge =
  | { readonly kind: 'apply'; readonly settings: BridgeSettings }
  /** Of a worker: its requests come by it, and it calls services. */
  | { readonly kind: 'worker'; readonly port: MessagePort }
  | { readonly kind: 'operate'; readonly id: number; readonly request: OperationRequest }
  /** The process stops: connections that stay open are ended. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' };

export type FromBridge =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly problem: string }
  | { readonly kind: 'log'; readonly line: string }
  | { readonly kind: 'report'; readonly report: BridgeReport }
  | { readonly kind: 'operated'; readonly id: number; readonly response: OperationResponse }
  | { readonly kind: 'stopped' };

const REPORT_EVERY_MS = 1_000;

const port = parentPort!;
const tell = (message: FromBridge): void => port.postMessage(message);
const { socketPath, replacesSockets, logLevel, settings } = workerData as BridgeThreadData;
const log = createLogger(logLevel, (line) => tell({ kind: 'log', line }));

async function run(): Promise<void> {
  const bridge = await Bridge.start(settings, log);
  const server = new LocalServer(socketPath, bridge.listener);
  await server.listen(replacesSockets);
  const report = (): void => tell({ kind: 'report', report: bridge.report() });
  const reporting = setInterval(report, REPORT_EVERY_MS);
  let turn: Promise<void> = Promise.resolve();
  const operate = async (id: number, request: OperationRequest): Promise<void> => {
    const response = await bridge.operate(request).catch((error: unknown) => {
      log.warn('an operation on events failed', { path: request.path, problem: messageOf(error) });
      return { status: 503, body: { error: 'SERVICE_UNAVAILABLE', message: 'events are not available now' } };
    });
    tell({ kind: 'operated', id, response });
  };
  port.on('message', (message: ToBridge) => {
    if (message.kind === 'worker') {
      bridge.addWorker(message.port);
      return;
    }
    if (message.kind === 'operate') {
      void operate(message.id, message.request);
      return;
    }
    if (message.kind === 'drain') {
      bridge.drain();
      return;
    }
    turn = turn.then(async () => {
      try {
        if (message.kind === 'apply') {
          await bridge.apply(message.settings);
          report();
          return;
        }
        clearInterval(reporting);
        await bridge.stop();
        await server.close();
        tell({ kind: 'stopped' });
        port.close();
      } catch (error) {
        log.error('the event bridge failed to process a message', { kind: message.kind, problem: messageOf(error) });
        if (message.kind === 'stop') tell({ kind: 'stopped' });
      }
    });
  });
  report();
  tell({ kind: 'ready' });
}

run().catch((error: unknown) => tell({ kind: 'failed', problem: messageOf(error) }));
