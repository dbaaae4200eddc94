/** `gateway.listeners`, or `port` and `host`, to the snapshot's listeners. */
import type { ListenerSettings, ListenerTls, TlsCertificate } from '../../../data/contract/snapshot.ts';
import { readKept } from '../../certificates/kept.ts';
import { certificateFolder, fileOf, type NamingDocument, namesOf } from '../../certificates/names.ts';
import { directoryOf } from '../../certificates/options.ts';
import type { ListenerOptions, ListenerTlsOptions } from '../schema/listener.ts';
import type { Compilation } from './context.ts';
import { certificateNames, readAuthorities, readPair } from './pem.ts';

export function compileListeners(compilation: Compilation, nowMs: number, dataDir: string): ListenerSettings[] {
  const { listeners, port, host } = compilation.config.document.gateway;
  if (listeners === undefined)
    return [{ id: 'main', host, port, proxyProtocol: false, protocols: ['h2', 'h1'], tls: null }];

  for (const key of ['port', 'host']) {
    const path = ['gateway', key];
    if (!compilation.has(path)) continue;
    // PORT and HOST are set on many machines for no reason of ours.
    const isVariable =
      compilation.config.source.place(path, 'value').file?.startsWith('environment variable ') === true;
    if (isVariable) compilation.warning(path, 'has no effect beside gateway.listeners');
    else compilation.problem(path, 'cannot stand beside listeners', { expected: 'a listener with it' });
  }
  const ids = new Set<string>();
  const addresses = new Set<string>();
  return listeners.map((listener, index) => {
    const path = ['gateway', 'listeners', index];
    const address = `${listener.host}:${listener.port}`;
    const id = listener.name ?? (listener.port === 0 ? `${address}#${index}` : address);
    if (ids.has(id)) compilation.problem(path, 'another listener has this name', { got: JSON.stringify(id) });
    else if (listener.port !== 0 && addresses.has(address)) {
      compilation.problem(path, 'another listener has this address', { got: address });
    }
    ids.add(id);
    addresses.add(address);
    if (listener.proxyProtocol && compilation.config.document.gateway.trustProxy.length === 0) {
      compilation.problem([...path, 'proxyProtocol'], 'only peers in gateway.trustProxy may connect, and it is empty');
    }
    return {
      id,
      host: listener.host,
      port: listener.port,
      proxyProtocol: listener.proxyProtocol,
      protocols: listener.protocols,
      tls: compileTls(compilation, listener, path, id, nowMs, dataDir),
    };
  });
}

function compileTls(
  compilation: Compilation,
  { tls }: ListenerOptions,
  path: readonly (string | number)[],
  id: string,
  nowMs: number,
  dataDir: string,
): ListenerTls | null {
  if (tls === undefined) return null;
  const at = [...path, 'tls'];
  const certificates = (tls.certificates ?? []).flatMap(({ cert, key, names }, index): TlsCertificate[] => {
    const place = [...at, 'certificates', index];
    const pair = readPair(compilation, [...place, 'cert'], cert, [...place, 'key'], key, nowMs);
    if (pair === undefined) return [];
    const prefix = `listener/${id}/${index}`;
    return [
      {
        names: names ?? certificateNames(pair.leaf),
        cert: compilation.secret(`${prefix}/cert`, pair.cert),
        key: compilation.secret(`${prefix}/key`, pair.key),
      },
    ];
  });
  return {
    certificates: [...certificates, ...automatic(compilation, tls, at, id, dataDir)],
    minVersion: tls.minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    clientCertificate: tls.clientCertificate,
    clientCa: clientCa(compilation, tls, at, id, nowMs),
  };
}

/** Those that ACME has got so far; the others come while the gateway runs (control/certificates/). */
function automatic(
  compilation: Compilation,
  tls: ListenerTlsOptions,
  at: readonly (string | number)[],
  id: string,
  dataDir: string,
): TlsCertificate[] {
  if (tls.auto === undefined || tls.auto === false) return [];
  const document = compilation.config.document as unknown as NamingDocument & {
    readonly acme?: { readonly server: string };
  };
  const names = namesOf(document, tls);
  if (names.length === 0) {
    compilation.problem(at, 'there is no name to get a certificate for', {
      expected: 'match.hosts in a route, or auto with a list of names',
    });
  }
  const folder = certificateFolder(dataDir, directoryOf(document.acme?.server ?? 'letsencrypt'));
  return names.flatMap((name): TlsCertificate[] => {
    const kept = readKept(fileOf(folder, name));
    if (kept === null) return [];
    const secret = compilation.secret(`listener/${id}/auto/${name}`, kept.pem);
    return [{ names: [name], cert: secret, key: secret }];
  });
}

function clientCa(
  compilation: Compilation,
  tls: ListenerTlsOptions,
  at: readonly (string | number)[],
  id: string,
  nowMs: number,
): string | null {
  const path = [...at, 'clientCa'];
  if (tls.clientCertificate === 'off') {
    if (tls.clientCa !== undefined) compilation.problem(path, 'has no effect while clientCertificate is off');
    return null;
  }
  if (tls.clientCa === undefined) {
    compilation.problem(at, 'the key "clientCa" is missing', {
      expected: `it, because clientCertificate is ${tls.clientCertificate}`,
    });
    return null;
  }
  const pem = readAuthorities(compilation, path, tls.clientCa, nowMs);
  return pem === undefined ? null : compilation.secret(`listener/${id}/clientCa`, pem);
}
