/**
 * Takes one mail away: by SMTP through nodemailer, or, without a mail server, into a folder of `.eml` files that
 * the log points to. Recipients and subjects are checked against line feeds by their schemas and once more here.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../base/log.ts';
import type { IdentityOptions } from '../options.ts';
import { checked, mailFile, moreFields } from './mail-file.ts';

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** The same for people whose program shows HTML; what waits from before there was any has none. */
  readonly html?: string;
  readonly language?: string;
}

export interface Mailer {
  send(mail: Mail): Promise<void>;
  close(): void;
}

const MAX_FILES = 1_000;
const SEND_TIMEOUT_MS = 30_000;

export async function makeMailer(options: IdentityOptions['mail'], mailbox: string, log: Logger): Promise<Mailer> {
  return options.smtp === undefined
    ? fileMailer(options.from, mailbox, log)
    : await smtpMailer(options.from, options.smtp);
}

async function smtpMailer(from: string, url: string): Promise<Mailer> {
  const { createTransport } = await import('nodemailer');
  const timeouts = {
    connectionTimeout: SEND_TIMEOUT_MS,
    greetingTimeout: SEND_TIMEOUT_MS,
    socketTimeout: SEND_TIMEOUT_MS,
  };
  const transport = createTransport({ url, pool: true, maxConnections: 2, ...timeouts });
  return {
    async send(mail) {
      const { to, subject, text, html } = mail;
      const body = html === undefined ? { text } : { text, html };
      await transport.sendMail({
        from,
        to: checked(to),
        subject: checked(subject),
        ...body,
        headers: moreFields(mail),
      });
    },
    close: () => transport.close(),
  };
}

function fileMailer(from: string, mailbox: string, log: Logger): Mailer {
  let isLogged = false;
  /** In names, so that mails of one millisecond keep their order. */
  let count = 0;
  return {
    async send(mail) {
      await mkdir(mailbox, { recursive: true, mode: 0o700 });
      const at = new Date();
      const order = `${count++}`.padStart(9, '0');
      const name = `${at.toISOString().replaceAll(':', '-')}-${order}-${randomBytes(4).toString('hex')}.eml`;
      await writeFile(join(mailbox, name), mailFile(mail, from, at), { mode: 0o600 });
      if (!isLogged) log.info('no mail server is configured: mails become files', { folder: mailbox });
      isLogged = true;
      log.info('a mail was written', { file: join(mailbox, name) });
      await prune(mailbox);
    },
    close: () => {},
  };
}

async function prune(mailbox: string): Promise<void> {
  const files = (await readdir(mailbox)).filter((name) => name.endsWith('.eml')).sort();
  for (const name of files.slice(0, Math.max(0, files.length - MAX_FILES)))
    await rm(join(mailbox, name), { force: true });
}
