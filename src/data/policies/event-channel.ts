/**
 * What `publish`, `subscribe` and hub routes have in common: the event bridge is told which route this is, the subject
 * with its placeholders filled in, and who calls.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { Reader } from '../auth/authorize/expression.ts';
import { compileReader, ExpressionError } from '../auth/authorize/expression.ts';
import type { ChannelSettings } from '../contract/events.ts';
import type { PolicyContext, PolicyEnvironment, PolicyHook } from '../contract/policy.ts';
import { encodePart, MAX_SUBJECT_LENGTH, subjectProblem } from '../contract/subjects.ts';

const PLACEHOLDER = /\{\{|\{([^{}]*)\}|[{}]/g;

/** A text with placeholders to what it is for a request; null when one of them has no value. */
export type SubjectTemplate = (exchange: PolicyContext) => string | null;

/** Throws an `ExpressionError`. Each value becomes one part, whatever it holds. */
function compileSubject(text: string): SubjectTemplate {
  const parts: (string | Reader)[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    const [whole, path] = match;
    parts.push(text.slice(end, match.index));
    end = match.index + whole.length;
    if (path === undefined) throw new ExpressionError('a brace cannot be part of a subject', match.index);
    const name = path.trim();
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name)) {
      throw new ExpressionError(`"{${path}}" is not a placeholder`, match.index);
    }
    parts.push(compileReader(name));
  }
  parts.push(text.slice(end));
  return (exchange) => {
    let result = '';
    for (const part of parts) {
      if (typeof part === 'string') {
        result += part;
        continue;
      }
      const value = part(exchange);
      if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return null;
      if (value === '') return null;
      result += encodePart(String(value));
    }
    return result;
  };
}

/** What is wrong with a subject or a pattern with placeholders, or nothing. */
export function subjectTemplateProblem(text: string, wildcards: boolean): string | undefined {
  try {
    compileSubject(text);
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
  return subjectProblem(text.replace(/\{[^{}]*\}/g, 'x'), wildcards);
}

/** The hook of `requestHead`: says what it is about, or refuses a request whose subject cannot be known. */
export function channelHook(settings: ChannelSettings, { routeId }: PolicyEnvironment): PolicyHook {
  const { subject, key } = settings;
  const subjectOf = compileSubject(subject);
  const keyOf = key === null ? null : compileSubject(key);
  const unknown = new Fault(FAULTS.insufficientPermissions, { cause: 'the subject has a placeholder without a value' });
  const tooLong = new Fault(FAULTS.uriTooLong, { cause: 'the subject is too long' });
  return (exchange) => {
    const named = subjectOf(exchange);
    if (named === null) return unknown;
    if (named.length > MAX_SUBJECT_LENGTH) return tooLong;
    const { identity } = exchange;
    const expires = identity?.claims['exp'];
    exchange.channel = {
      route: routeId,
      subject: named,
      key: keyOf === null ? null : keyOf(exchange),
      caller: identity?.subject ?? null,
      account: identity?.account ?? identity?.subject ?? null,
      plan: identity?.plan ?? null,
      expires: typeof expires === 'number' ? expires : null,
      address: exchange.address,
    };
    return undefined;
  };
}

/** The same for the hub, which decides by topic what a caller may. */
export function realtimeHook({ routeId }: PolicyEnvironment): PolicyHook {
  return (exchange) => {
    const { identity } = exchange;
    const expires = identity?.claims['exp'];
    exchange.channel = {
      route: routeId,
      subject: '',
      key: null,
      caller: identity?.subject ?? null,
      account: identity?.account ?? identity?.subject ?? null,
      plan: identity?.plan ?? null,
      expires: typeof expires === 'number' ? expires : null,
      address: exchange.address,
      roles: identity?.roles ?? [],
      scopes: identity?.scopes ?? [],
    };
    return undefined;
  };
}
