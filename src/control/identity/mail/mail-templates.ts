/** The texts of the mails, all in one place, plain text only. Each says what to do when one did not ask for it. */
import type { IdentityOptions } from '../options.ts';
import { linkTo } from './links.ts';
import type { Mail } from './mailer.ts';

export interface MailTemplates {
  verifyEmail(to: string, token: string): Mail;
  alreadyRegistered(to: string): Mail;
  resetPassword(to: string, name: string, token: string): Mail;
  passwordChanged(to: string): Mail;
  locked(to: string): Mail;
  newEmail(to: string): Mail;
  mfaChanged(to: string, what: string): Mail;
  /** A key, a link to an outside account or a child account: whatever else opens the account from now on. */
  accessChanged(to: string, what: string): Mail;
}

export function makeMailTemplates(options: IdentityOptions): MailTemplates {
  const name = options.mfa.issuer;
  const mail = (to: string, subject: string, ...lines: string[]): Mail => ({
    to,
    subject: `${name}: ${subject}`,
    text: lines.join('\r\n'),
  });
  return {
    verifyEmail: (to, token) =>
      mail(
        to,
        'confirm your address',
        'Somebody registered an account with this address. To confirm it, open:',
        linkTo(options, 'verify-email', token),
        '',
        `Or use this code: ${token}`,
        'It works once, within a day, together with the password that was chosen or a new one.',
        'If it was not you, do nothing: no account will be created.',
      ),
    alreadyRegistered: (to) =>
      mail(
        to,
        'you have an account',
        'Somebody tried to register an account with this address, which already has one.',
        'If it was you, sign in, or ask for a new password. Otherwise do nothing.',
      ),
    resetPassword: (to, who, token) =>
      mail(
        to,
        'set a new password',
        `Somebody asked for a new password for the account "${who}". To set one, open:`,
        linkTo(options, 'reset-password', token),
        '',
        `Or use this code: ${token}`,
        'It works once, within 30 minutes. If it was not you, do nothing: the password stays.',
      ),
    passwordChanged: (to) =>
      mail(
        to,
        'your password was changed',
        'The password of your account was changed and all its sessions ended.',
        'If it was not you, ask for a new password at once.',
      ),
    locked: (to) =>
      mail(
        to,
        'failed sign-ins',
        'There were several wrong passwords for your account. Sign-ins are slowed down for a while.',
        'If it was not you, there is nothing to do; a second factor makes your account safer.',
      ),
    newEmail: (to) =>
      mail(
        to,
        'your address was changed',
        'The address of your account was changed; this is the last mail to the old one.',
        'If it was not you, write to the administrators of this service.',
      ),
    accessChanged: (to, what) =>
      mail(
        to,
        'access to your account changed',
        `${what}.`,
        'If it was not you, remove it, change your password and end all sessions at once.',
      ),
    mfaChanged: (to, what) =>
      mail(to, 'your second factors changed', `${what}.`, 'If it was not you, change your password at once.'),
  };
}
