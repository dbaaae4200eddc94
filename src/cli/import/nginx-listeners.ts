/** Addresses, certificates and client certificates of nginx's servers, as listeners. */
import type { Draft } from './draft.ts';
import type { NginxFiles } from './nginx-files.ts';
import type { Directive } from './nginx-parser.ts';
import { nearest, type Scope } from './nginx-scope.ts';

export interface Server {
  readonly directive: Directive;
  readonly scope: Scope;
  readonly source: string;
}

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

interface Tls {
  readonly certificates: Certificate[];
  minVersion?: string;
  clientCertificate?: 'required' | 'optional';
  clientCa?: string;
}

interface Listener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  tls?: Tls;
}

export function addListeners(draft: Draft, servers: readonly Server[], files: NginxFiles): void {
  const listeners: Listener[] = [];
  draft.gateway['listeners'] = listeners;
  const secured: { readonly server: Server; readonly listener: Listener }[] = [];
  for (const server of servers) {
    const { own, defaults } = server.scope;
    const isAllTls = own.some(({ name, args }) => name === 'ssl' && args[0] === 'on');
    for (const args of listensOf(own)) {
      const address = addressOf(args[0] ?? '80');
      if (address === null) {
        draft.lost(`listen ${args.join(' ')}`, 'write it under gateway.listeners', server.directive.line);
        continue;
      }
      const listener = listenerAt(listeners, address);
      if (args.includes('default_server') || !defaults.has(listener.name))
        defaults.set(listener.name, server.directive);
      if (args.includes('proxy_protocol'))
        draft.lost(`listen ${args.join(' ')}`, 'proxyProtocol needs gateway.trustProxy', server.directive.line);
      if (!args.includes('ssl') && !isAllTls) continue;
      secured.push({ server, listener });
      addCertificates(draft, listener, server.scope, files);
    }
  }
  for (const listener of new Set(secured.map((each) => each.listener)))
    askForCertificates(
      draft,
      listener,
      secured.filter((each) => each.listener === listener).map(({ server }) => server),
      files,
    );
}

/** Names of the listeners of one server. */
export function listenersOf(draft: Draft, own: readonly Directive[]): string[] {
  const listeners = draft.gateway['listeners'] as Listener[];
  const names = listensOf(own)
    .map(([address = '80']) => addressOf(address))
    .flatMap((address) => (address === null ? [] : [listenerAt(listeners, address).name]));
  return [...new Set(names)];
}

function listensOf(own: readonly Directive[]): (readonly string[])[] {
  const listens = own.filter(({ name }) => name === 'listen').map(({ args }) => args);
  return listens.length > 0 ? listens : [['80']];
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function addressOf(written: string): Address | null {
  if (/^\d+$/.test(written)) return { host: '0.0.0.0', port: Number(written) };
  const [, six, name, port = '80'] = /^(?:\[([0-9a-fA-F:.]+)\]|(\*|[A-Za-z0-9.-]+))(?::(\d+))?$/.exec(written) ?? [];
  if (six !== undefined) return { host: six, port: Number(port) };
  if (name === undefined) return null;
  return { host: name === '*' ? '0.0.0.0' : name, port: Number(port) };
}

/** Made where there is none. An address of its own keeps what it serves from those who ask the others. */
function listenerAt(listeners: Listener[], { host, port }: Address): Listener {
  const found = listeners.find((each) => each.port === port && each.host === host);
  if (found !== undefined) return found;
  const isTaken = listeners.some((each) => each.name === `port-${port}`);
  const own = host === '::' ? 'ipv6' : host.replace(/[^A-Za-z0-9.-]+/g, '.').replace(/^\.+/, '');
  const name = isTaken ? `port-${port}-${own}` : `port-${port}`;
  const made = { name, host, port };
  listeners.push(made);
  return made;
}

function addCertificates(draft: Draft, listener: Listener, scope: Scope, files: NginxFiles): void {
  const certificates = certificatesOf(draft, scope, files);
  if (certificates.length === 0 && listener.tls === undefined) return;
  listener.tls ??= { certificates: [] };
  for (const one of certificates)
    if (!listener.tls.certificates.some(({ cert }) => cert === one.cert)) listener.tls.certificates.push(one);
  const [protocols] = nearest(scope, 'ssl_protocols');
  if (protocols?.args.join(' ') === 'TLSv1.3') listener.tls.minVersion ??= '1.3';
}

/**
 * A listener asks all its clients for the same certificates: those of the first server that demands them. Servers whose
 * clients would be asked for less are closed.
 */
function askForCertificates(draft: Draft, listener: Listener, servers: readonly Server[], files: NginxFiles): void {
  const asked = servers.map((server) => {
    const [mode, authorities] = ['ssl_verify_client', 'ssl_client_certificate'].map(
      (name) => nearest(server.scope, name)[0],
    );
    const [file] = authorities?.args ?? [];
    return {
      server,
      line: mode?.line ?? server.directive.line,
      mode: mode?.args[0] ?? 'off',
      ca: file === undefined ? null : files.place(file),
      hasList: nearest(server.scope, 'ssl_crl').length > 0,
    };
  });
  const usable = asked.filter(({ mode, ca }) => (mode === 'on' || mode === 'optional') && ca !== null);
  const chosen = usable.find(({ mode }) => mode === 'on') ?? usable[0];
  if (chosen !== undefined && listener.tls !== undefined)
    Object.assign(listener.tls, {
      clientCertificate: chosen.mode === 'on' ? 'required' : 'optional',
      clientCa: chosen.ca,
    });
  for (const { server, line, mode, ca, hasList } of asked) {
    const source = `${server.source} ssl_verify_client`;
    if (mode === 'off') {
      if (chosen?.mode === 'on')
        draft.approximate(source, `clients of ${listener.name} need a certificate here for every server`, line);
      continue;
    }
    const problem =
      mode === 'optional_no_ca'
        ? 'certificates are verified here, or not asked for'
        : listener.tls === undefined
          ? 'there is no certificate for the listener'
          : ca === null || ca !== listener.tls.clientCa
            ? 'a listener has one file of authorities'
            : hasList
              ? 'lists of revoked certificates (ssl_crl) are not looked at'
              : undefined;
    if (problem !== undefined) server.scope.closedBy = { source, note: problem, line };
    else if (mode === 'optional' && chosen?.mode === 'on')
      draft.approximate(source, `clients of ${listener.name} need a certificate here for every server`, line);
    else draft.exact(source, line);
  }
}

/** Of the server, or else of all. */
function certificatesOf(draft: Draft, scope: Scope, files: NginxFiles): Certificate[] {
  const keys = nearest(scope, 'ssl_certificate_key');
  return nearest(scope, 'ssl_certificate').flatMap(({ args: [cert = ''], line }, index) => {
    const [key = ''] = keys[index]?.args ?? [];
    if (cert !== '' && key !== '' && ![cert, key].some((file) => /\$|^(?:data|engine|store):/.test(file)))
      return [{ cert: files.place(cert), key: files.place(key) }];
    draft.lost(`ssl_certificate ${cert}`, 'only files are taken; write it under gateway.listeners', line);
    return [];
  });
}
