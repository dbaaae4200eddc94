/** `ticket`: a ticket for the caller, which opens one WebSocket or event stream (auth/methods/ticket.ts). */
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import { methodsOf } from '../auth/methods/ticket.ts';
import type { AuthSettings } from '../contract/auth.ts';
import type { ControlLink, Identity, PolicyEnvironment } from '../contract/policy.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import { type IssueQuestion, TICKET_ISSUE_TOPIC, TICKET_WITHIN_MS } from '../contract/tickets.ts';
import type { RouteAction } from '../exchange/active-config.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';

const RETRY_AFTER_SECONDS = 5;
/** It would open a connection without the certificate that the credential asks for. */
const BOUND = new Fault(FAULTS.insufficientPermissions, { cause: 'the credential is bound to a certificate' });

export function ticketAction(
  { policies }: RouteSettings,
  ttlMs: number,
  { control, secrets, clock }: PolicyEnvironment,
): RouteAction {
  const settings = policies.find(({ name }) => name === 'auth')?.options as AuthSettings | undefined;
  const methods = settings === undefined ? '' : methodsOf(settings, secrets);
  // RFC 9110 §11.6.1: a 401 has a challenge.
  const headers = { 'WWW-Authenticate': `Bearer realm="${settings?.realm ?? ''}"` };
  const nobody = new Fault(FAULTS.authenticationRequired, { headers });
  return {
    open(exchange, handler) {
      const { identity } = exchange;
      if (identity === null) return nobody;
      if (identity.method === 'mtls' || identity.claims['cnf'] !== undefined) return BOUND;
      exchange.takesTime();
      const endsAtMs = identity.endsAtMs ?? Number.POSITIVE_INFINITY;
      const question: IssueQuestion = {
        holder: {
          facts: factsOf(identity),
          claims: identity.claims,
          isNameless: identity.isNameless === true,
          endsAtMs: endsAtMs === Number.POSITIVE_INFINITY ? null : endsAtMs,
        },
        account: identity.account ?? identity.subject,
        methods,
        ttlMs: Math.max(0, Math.min(ttlMs, endsAtMs - clock.wallMs())),
      };
      return new TicketCall(question, control, handler);
    },
  };
}

function factsOf({ method, subject, issuer = null, roles, scopes, plan }: Identity): IssueQuestion['holder']['facts'] {
  return { method, subject, issuer, roles, scopes, plan };
}

class TicketCall implements ResponseSource {
  readonly #question: IssueQuestion;
  readonly #control: ControlLink;
  readonly #handler: ResponseHandler;
  #isOver = false;

  constructor(question: IssueQuestion, control: ControlLink, handler: ResponseHandler) {
    this.#question = question;
    this.#control = control;
    this.#handler = handler;
  }

  start(): void {
    this.#control.ask(TICKET_ISSUE_TOPIC, this.#question, TICKET_WITHIN_MS).then(
      (ticket) => this.#end(typeof ticket === 'string' ? ticket : new Fault(FAULTS.rateLimitExceeded)),
      (error: unknown) => this.#end(unavailable(messageOf(error))),
    );
  }

  resume(): void {}

  abandon(): void {
    this.#isOver = true;
  }

  #end(made: string | Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (made instanceof Fault) this.#handler.onFault(made);
    else {
      const body = JSON.stringify({ ticket: made, expiresIn: Math.floor(this.#question.ttlMs / 1_000) });
      const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
      this.#handler.onReply({ status: 201, headers, body });
    }
    this.#handler.flush();
  }
}

function unavailable(problem: string): Fault {
  const cause = `ticket: ${problem}`;
  return new Fault(FAULTS.authenticationUnavailable, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
}
