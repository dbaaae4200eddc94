/**
 * Every text of the emails, in English. The keys are what `identity.mail.texts` names, and mail-texts-de.ts has the
 * same ones. `{name}` stands for a value that the email puts in.
 */
export const ENGLISH_MAIL = {
  verifySubject: 'confirm your address',
  verifyText: 'Somebody registered an account with this address. To confirm it, open:',
  verifyButton: 'Confirm this address',
  verifyUntil: 'It works once, within a day, together with the password that was chosen or a new one.',
  verifyElse: 'If it was not you, do nothing: no account will be created.',
  orCode: 'Or use this code: {code}',
  moveText: 'Somebody asked for this to be the new address of their account. To confirm it, open:',
  moveUntil: 'It works once, within a day, together with the password of the account.',
  moveElse: 'If it was not you, do nothing: the account keeps the address it has.',
  takenSubject: 'you have an account',
  takenText: 'Somebody tried to register an account with this address, which already has one.',
  takenElse: 'If it was you, sign in, or ask for a new password. Otherwise do nothing.',
  resetSubject: 'set a new password',
  resetText: 'Somebody asked for a new password for the account "{account}". To set one, open:',
  resetButton: 'Set a new password',
  resetUntil: 'It works once, within 30 minutes. If it was not you, do nothing: the password stays.',

  passwordSubject: 'your password was changed',
  passwordText: 'The password of your account was changed and all its sessions ended.',
  passwordElse: 'If it was not you, ask for a new password at once.',
  lockedSubject: 'failed sign-ins',
  lockedText: 'There were several wrong passwords for your account. Sign-ins are slowed down for a while.',
  lockedElse: 'If it was not you, there is nothing to do; a second factor makes your account safer.',
  addressSubject: 'your address was changed',
  addressText: 'The address of your account was changed; this is the last email to the old one.',
  addressElse: 'If it was not you, write to the administrators of this service.',

  accessSubject: 'access to your account changed',
  accessElse: 'If it was not you, remove it, change your password and end all sessions at once.',
  keyMade: 'The API key "{name}" was made for your account.',
  keyReplaced: 'The API key "{name}" of your account was replaced.',
  keyMadeFor: 'An administrator made the API key "{name}" for your account.',
  keyReplacedFor: 'An administrator replaced the API key "{name}" of your account.',
  childMade: 'The child account "{name}" was made.',
  applicationAllowed: 'The application "{name}" may now act for your account.',
  linkAdded: 'Your account can now be entered with an account at {provider}.',
  linkRemoved: 'The link to your account at {provider} was removed.',
  linksRemoved: 'All links of your account to outside accounts were removed.',

  factorsSubject: 'your second factors changed',
  factorsElse: 'If it was not you, change your password at once.',
  factorAdded: 'A second factor was added to your account.',
  factorRemoved: 'A second factor was removed from your account.',
  factorsRemovedFor: 'An administrator removed the second factors of your account.',
  passkeysRemoved: 'All passkeys were removed from your account.',
  codesMade: 'New recovery codes were made for your account; the old ones no longer work.',
  codeUsed: 'A recovery code of your account was used; {count} are left.',
  takenOver: 'Second factors and links that were set up before you confirmed your address were removed.',
} as const;

export type MailKey = keyof typeof ENGLISH_MAIL;
export const MAIL_KEYS = Object.keys(ENGLISH_MAIL) as MailKey[];
