/**
 * How one process of a gateway takes over from another on the same data folder and the same ports, so that an upgrade
 * loses no request. The new one asks over the control socket (`POST /takeover`) and keeps that exchange open:
 *
 *     new                                   old
 *      | ---- POST /takeover ----------------> |  writes its files, then changes nothing more (hand-over.ts)
 *      | <--- {"protocol":1, addresses …} ---- |
 *      |  starts on the files and the ports    |  goes on serving: both accept
 *      | ---- ready -------------------------> |  closes its listeners, finishes what it has, ends
 *      | <--- (the end of the exchange) ------ |
 *
 * The exchange ending before `ready` means that there will be no new process: the old one goes on as before. Linux
 * only, where two processes of one user may listen on one port (`SO_REUSEPORT`).
 */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { onDemand } from '../base/on-demand.ts';
import type { ListeningAddress } from './feature-status.ts';

/** What the old process tells the new one. */
export interface Estate {
  readonly protocol: 1;
  readonly pid: number;
  readonly addresses: readonly ListeningAddress[];
  /** Base64. Who has a TLS session ticket of the old process resumes with the new one. */
  readonly ticketKeys: string;
}

const READY = 'ready\n';
/** A new process that takes longer to start has got stuck. */
const READY_WITHIN_MS = 120_000;
/** Longest wait for the old process to write its files. */
const HELD_WITHIN_MS = 20_000;
/** An estate is some hundred bytes and one address for each listener. */
const MOST_BYTES = 256 * 1024;

/** The old process, as the new one sees it. */
export class Predecessor {
  readonly estate: Estate;
  /** Resolves when it has ended, or lost its control socket. */
  readonly gone: Promise<void>;
  readonly #call: ClientRequest;

  /** Null when none answers there. Rejects with the reason why one that answers cannot be taken over. */
  static async ask(controlSocket: string): Promise<Predecessor | null> {
    if (process.platform !== 'linux') throw new Error('one process can take over from another on Linux only');
    const { promise, resolve, reject } = Promise.withResolvers<Predecessor | null>();
    const call = onDemand.http.request({ socketPath: controlSocket, method: 'POST', path: '/takeover' });
    const late = setTimeout(() => {
      call.destroy();
      reject(new Error('the running gateway does not hand over in time'));
    }, HELD_WITHIN_MS);
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(null);
      else reject(new Error(`the running gateway cannot be asked to hand over: ${messageOf(error)}`));
    });
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.length > MOST_BYTES) call.destroy(new Error('its answer is too large'));
        const end = text.indexOf('\n');
        if (response.statusCode === 200 && end >= 0) settle(text.slice(0, end));
      });
      response.on('end', () => reject(new Error(refusalOf(response, text))));
      response.on('error', () => {});
      const gone = new Promise<void>((done) => response.once('close', done));
      const settle = (line: string): void => {
        const estate = JSON.parse(line) as Estate;
        if (estate.protocol === 1) resolve(new Predecessor(call, estate, gone));
        else reject(new Error('the running gateway hands over in another way than this version knows'));
      };
    });
    call.flushHeaders();
    try {
      return await promise;
    } catch (error) {
      call.destroy();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  private constructor(call: ClientRequest, estate: Estate, gone: Promise<void>) {
    this.#call = call;
    this.estate = estate;
    this.gone = gone;
  }

  /** Its successor serves: it may go. */
  leave(): void {
    this.#call.write(READY);
  }

  /** There will be no successor: it goes on. */
  keep(): void {
    this.#call.destroy();
  }
}

function refusalOf({ statusCode }: IncomingMessage, text: string): string {
  if (statusCode === 404)
    return 'the running gateway is of a version that cannot be taken over: stop it, then start this one';
  try {
    return `the running gateway does not hand over: ${(JSON.parse(text) as { message: string }).message}`;
  } catch {
    return `the running gateway does not hand over (${statusCode})`;
  }
}

/** What the old process does about it; hand-over.ts. */
export interface Handing {
  /** Rejects with the message for the requester. */
  hold(): Promise<Estate>;
  takeBack(): Promise<void>;
  leave(): Promise<void>;
}

/** Answers `POST /takeover` on the control socket of the old process. */
export async function handOverTo(
  handing: Handing,
  log: Logger,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // From the first moment: one who goes before anything is said must be noticed, too.
  const ready = readyOf(request, response);
  let estate: Estate;
  try {
    estate = await handing.hold();
  } catch (error) {
    response.writeHead(409, { 'content-type': 'application/json' }).end(JSON.stringify({ message: messageOf(error) }));
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' }).write(`${JSON.stringify(estate)}\n`);
  const late = setTimeout(() => response.destroy(), READY_WITHIN_MS);
  const isReady = await ready;
  clearTimeout(late);
  if (isReady) {
    log.info('another process has taken over');
    await handing.leave();
  } else {
    await handing.takeBack();
    log.warn('the process that wanted to take over has gone: this one goes on');
  }
}

/** False: the other side went without a word. */
function readyOf(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text = (text + part).slice(0, READY.length);
      if (text === READY) resolve(true);
    });
    response.once('close', () => resolve(false));
    request.once('error', () => resolve(false));
  });
}
