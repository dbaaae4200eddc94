/** What is wrong, in the words of the pages: the catalogue's text for a problem and for each of its fields. */
import type { Problem } from '../problem.ts';
import type { Page } from './layout.ts';
import type { TextKey } from './texts-en.ts';

/** By name of the field; '' is what belongs to none. */
export type Complaints = ReadonlyMap<string, string>;
type Given = ReadonlyMap<string, string>;

const BY_REASON: Readonly<Record<string, TextKey>> = {
  account_disabled: 'problemDisabled',
  child_account: 'problemChild',
  email_taken: 'problemEmailTaken',
  foreign_origin: 'problemForeign',
  cross_site: 'problemForeign',
  invalid_code: 'deadOver',
  invalid_credentials: 'problemCredentials',
  invalid_second_factor: 'problemFactor',
  invalid_ticket: 'problemTicket',
  mfa_enrolment_required: 'problemNoFactor',
  name_taken: 'problemNameTaken',
  not_found: 'notFoundText',
  payload_too_large: 'problemTooLarge',
  registration_closed: 'problemClosed',
  too_many_attempts: 'problemTooMany',
  too_many_calls: 'problemTooMany',
  unavailable: 'problemUnavailable',
  username_taken: 'problemUsernameTaken',
  wrong_password: 'problemWrongPassword',
};

const BY_FIELD: Readonly<Record<string, TextKey>> = { email: 'fieldEmail', username: 'fieldUsername' };

export function wordsOf(page: Page, problem: Problem): string {
  return page.text(BY_REASON[problem.reason] ?? 'problemOther');
}

/** Where on the page a refusal belongs. */
export function complaintsOf(page: Page, problem: Problem, given: Given): Complaints {
  const { fields, rule } = problem.more;
  if (fields !== undefined)
    return new Map(
      fields.map(({ field }) => {
        if (!given.has(field)) return [field, page.text('fieldMissing')];
        if (rule !== undefined) return [field, page.text(rule.text, { count: rule.count ?? 0 })];
        return [field, page.text(BY_FIELD[field] ?? 'fieldOther')];
      }),
    );
  return new Map([[fieldOf(problem.reason, given), wordsOf(page, problem)]]);
}

function fieldOf(reason: string, given: Given): string {
  if (reason === 'wrong_password') return 'password';
  if (reason === 'username_taken') return 'username';
  if (reason === 'name_taken') return given.has('email') ? 'email' : 'username';
  return '';
}
