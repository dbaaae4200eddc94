/**
 * A mail as the text of an `.eml` file (RFC 5322), readable as it stands: 8-bit text, and HTML beside it as the second
 * part of `multipart/alternative` (RFC 2046 §5.1.4), the one that programs show.
 */
import { randomBytes } from 'node:crypto';
import type { Mail } from './mailer.ts';

/** Bytes of text in an encoded word, which has at most 75 characters (RFC 2047 §2). */
const WORD_BYTES = 45;

export function mailFile(mail: Mail, from: string, at: Date): string {
  const head = [
    `From: ${sender(checked(from))}`,
    `To: ${checked(mail.to)}`,
    `Subject: ${encoded(checked(mail.subject))}`,
    `Date: ${at.toUTCString()}`,
    ...Object.entries(moreFields(mail)).map(([name, value]) => `${name}: ${value}`),
    'MIME-Version: 1.0',
  ];
  const { text, html } = mail;
  if (html === undefined) return `${[...head, ...part('plain', text)].join('\r\n')}\r\n`;
  const boundary = `part-${randomBytes(12).toString('hex')}`;
  const lines = [
    ...head,
    `Content-Type: multipart/alternative; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    ...part('plain', text),
    `--${boundary}`,
    ...part('html', html),
    `--${boundary}--`,
  ];
  return `${lines.join('\r\n')}\r\n`;
}

/** RFC 3282 (its language) and RFC 3834 §5: nobody's holiday note answers it. */
export function moreFields({ language }: Mail): Record<string, string> {
  return {
    'Auto-Submitted': 'auto-generated',
    ...(language === undefined ? {} : { 'Content-Language': checked(language) }),
  };
}

export function checked(field: string): string {
  if (/[\r\n\0]/.test(field)) throw new TypeError('a mail field holds a line feed');
  return field;
}

function part(kind: 'plain' | 'html', body: string): string[] {
  return [`Content-Type: text/${kind}; charset=utf-8`, 'Content-Transfer-Encoding: 8bit', '', body];
}

/** `Höfe <no-reply@example.com>`: only the name is encoded. */
function sender(from: string): string {
  const [, name = '', address = ''] = /^\s*"?(.*?)"?\s*(<[^<>]*>)\s*$/.exec(from) ?? [];
  return address === '' || /^[\x20-\x7e]*$/.test(name) ? from : `${encoded(name)} ${address}`;
}

/** Encoded words (RFC 2047), none of which cuts a character in two; text in ASCII stays as it is. */
function encoded(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  const words: string[] = [];
  let word = '';
  for (const character of text) {
    if (Buffer.byteLength(word + character) > WORD_BYTES) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  return [...words, word].map((each) => `=?UTF-8?B?${Buffer.from(each).toString('base64')}?=`).join('\r\n ');
}
