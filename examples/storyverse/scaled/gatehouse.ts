/**
 * The configuration of the deployment (deploy/storyverse/gatehouse.yaml) for processes on this machine: the same file,
 * with addresses instead of DNS names, a plain port instead of TLS, and registration without a mail server. Variables
 * are filled in here, because modules get none filled in.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Document {
  gateway: Record<string, unknown>;
  services: Record<string, { discovery?: unknown; instances?: readonly string[] }>;
  identity: Record<string, unknown>;
}

const variable = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === '') throw new TypeError(`${name} is not set; scaled.ts sets it`);
  return value;
};

const file = new URL('../../../deploy/storyverse/gatehouse.yaml', import.meta.url);
const text = readFileSync(file, 'utf8').replace(/\$\{(\w+)(?::-([^}]*))?\}/g, (_, name: string, other?: string) => {
  return other === undefined ? variable(name) : (process.env[name] ?? other);
});
const document = parse(text) as Document;

delete document.gateway['listeners'];
Object.assign(document.gateway, {
  host: '127.0.0.1',
  port: Number(variable('STORYVERSE_PORT')),
  dataDir: variable('STORYVERSE_DATA'),
  accessLog: { file: `${variable('STORYVERSE_DATA')}/access.log` },
  trustProxy: ['127.0.0.1/32'],
  // Two gateways on one machine cannot have one port.
  operations: { from: ['127.0.0.0/8'] },
});
for (const [name, service] of Object.entries(document.services)) {
  delete service.discovery;
  service.instances = variable(`${name.toUpperCase().replace('-', '_')}_URLS`).split(',');
}
document.identity['registration'] = { verifyEmail: 'off' };
const mail = document.identity['mail'] as { smtp?: string };
if (mail.smtp === '') delete mail.smtp;

export default document;
