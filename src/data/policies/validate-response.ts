/**
 * Is the response what the API describes: status, fields, content type, body. `refuse` holds it until it is known to be
 * right and sends 502 in its place; the client does not see what was wrong, the access record does. `report` lets it
 * pass as it comes.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { bodyTypeOf, type CheckedBodyType, checkBody } from '../content/body-types.ts';
import { CheckingFilter } from '../content/checking-filter.ts';
import { unpackableCoding } from '../content/codings.ts';
import { unpackResponse } from '../content/plain-response.ts';
import { RecordTap } from '../content/record-tap.ts';
import { EventRecords, LineRecords } from '../content/records.ts';
import type { RequestCheck } from '../content/request-check.ts';
import { type CheckedResponse, checkResponseFields, responseFor } from '../content/response-check.ts';
import { RecordFilter } from '../content/value-filters.ts';
import type { Violation } from '../content/violation.ts';
import { violation } from '../content/violation.ts';
import type { PolicyContext, PolicyEnvironment } from '../contract/policy.ts';
import type { ResponseRules } from '../contract/validation.ts';

/** In the access record. */
const MOST_NAMED = 5;

export class ResponseValidation {
  readonly #rules: ResponseRules;
  readonly #check: RequestCheck;
  readonly #count: PolicyEnvironment['count'];

  constructor(rules: ResponseRules, check: RequestCheck, { count }: PolicyEnvironment) {
    this.#rules = rules;
    this.#check = check;
    this.#count = count;
  }

  /** The hook `responseHead`. */
  look(exchange: PolicyContext): void {
    const { status } = exchange;
    if (exchange.fault !== null || status < 200) return;
    const responses = this.#check.operationFor(exchange.method, exchange.path)?.responses ?? null;
    if (responses === null) return;
    const response = responseFor(responses, status);
    if (response === undefined) {
      if (this.#rules.unknownStatuses === 'refuse')
        this.#wrong(exchange, [violation('status', status, 'a status that the API describes')]);
      return;
    }
    const found: Violation[] = [];
    checkResponseFields(response, (name) => exchange.sentHeader(name), found);
    const type = this.#typeOf(response, exchange, found);
    if (type === null || (found.length > 0 && this.#rules.mode === 'refuse')) this.#wrong(exchange, found);
    else this.#lookAtBody(type, exchange, found);
  }

  /** Null: there is no body to look at, or none whose type is described, which then is in `found`. */
  #typeOf({ types }: CheckedResponse, exchange: PolicyContext, found: Violation[]): CheckedBodyType | null {
    const { status } = exchange;
    if (types === null || types.length === 0 || status === 204 || status === 205 || status === 304) return null;
    if (exchange.method === 'HEAD') return null;
    const written = exchange.sentHeader('content-type');
    const type = bodyTypeOf(types, written);
    if (type === undefined) {
      const expected = types.map((each) => each.type).join(' or ');
      found.push(violation('header.content-type', written ?? undefined, expected));
      return null;
    }
    // A part of a body that the service gives unasked is nobody's whole JSON.
    if (status === 206 && type.kind !== 'other') {
      found.push(violation('status', status, 'a whole body'));
      return null;
    }
    return type.kind === 'other' || (type.kind === 'form' && type.check === null) ? null : type;
  }

  #lookAtBody(type: CheckedBodyType, exchange: PolicyContext, found: readonly Violation[]): void {
    const { maxBodyBytes, mode } = this.#rules;
    const isHeld = mode === 'refuse';
    if (isHeld) {
      if (!unpackResponse(exchange, maxBodyBytes, (cause) => this.#fault(exchange, [{ field: '', expected: cause }])))
        return;
    } else if (unpackableCoding(exchange.sentHeader('content-encoding')) !== null) {
      // It passes as it is, so nobody can look into it.
      this.#wrong(exchange, [...found, violation('header.content-encoding', undefined, 'identity')]);
      return;
    }
    if (type.kind === 'lines' || type.kind === 'events') {
      this.#lookAtRecords(type, exchange, found);
      return;
    }
    const length = exchange.responseLength;
    const filter = new CheckingFilter(
      (body) => {
        const wrong = [
          ...found,
          ...(body === null
            ? [violation('', undefined, `at most ${maxBodyBytes} bytes`)]
            : checkBody(type, body, this.#check.settings)),
        ];
        if (wrong.length === 0) return null;
        const fault = this.#fault(exchange, wrong);
        return isHeld ? fault : null;
      },
      maxBodyBytes,
      isHeld,
    );
    exchange.filterResponseBody(filter, { length, holdHead: isHeld });
  }

  /** One by one as they come: the first wrong one ends the response, or is named in the access record. */
  #lookAtRecords(type: CheckedBodyType, exchange: PolicyContext, found: readonly Violation[]): void {
    const { maxBodyBytes, mode } = this.#rules;
    if (found.length > 0) this.#fault(exchange, found);
    const records = type.kind === 'events' ? new EventRecords() : new LineRecords();
    const tooLong = [violation('', undefined, `records of at most ${maxBodyBytes} bytes`)];
    const check = (value: Buffer): Fault | null => {
      const wrong = value.length > maxBodyBytes ? tooLong : checkBody(type, value, this.#check.settings);
      return wrong.length === 0 ? null : this.#fault(exchange, wrong);
    };
    if (mode === 'refuse') {
      const refused = (): Fault => this.#fault(exchange, tooLong);
      exchange.filterResponseBody(new RecordFilter((value) => check(value) ?? value, records, maxBodyBytes, refused));
      return;
    }
    const look = (value: Buffer | null): boolean =>
      (value === null ? this.#fault(exchange, tooLong) : check(value)) === null;
    exchange.filterResponseBody(new RecordTap(look, records, maxBodyBytes), { length: exchange.responseLength });
  }

  /** Of the head alone. */
  #wrong(exchange: PolicyContext, found: readonly Violation[]): void {
    if (found.length === 0) return;
    const fault = this.#fault(exchange, found);
    if (this.#rules.mode === 'refuse') throw fault;
  }

  #fault(exchange: PolicyContext, found: readonly Violation[]): Fault {
    const named = found.slice(0, MOST_NAMED).map(({ field, expected }) => `${field || 'body'}: ${expected}`);
    exchange.logField('invalid_response', named.join('; ').slice(0, 300));
    this.#count('invalid_responses', 1);
    return new Fault(FAULTS.invalidResponse, { cause: named[0]! });
  }
}
