/** Names of fields and query parameters that hold credentials by what the configuration says in `auth`, lower case. */

interface Place {
  readonly auth?: unknown;
}
interface Auth {
  readonly apiKey?: { readonly header?: string; readonly query?: string };
  readonly tickets?: 'off' | { readonly parameter: string };
  readonly jwt?: { readonly from?: readonly Source[] };
  readonly introspect?: { readonly from?: readonly Source[] };
}
type Source = string | { readonly header?: string };

/** `document`: the whole checked document. */
export function credentialNames(document: Readonly<Record<string, unknown>>): readonly string[] {
  const { gateway, services, routes } = document as {
    readonly gateway?: Place;
    readonly services?: Readonly<Record<string, Place>>;
    readonly routes?: readonly Place[];
  };
  const names = [gateway ?? {}, ...Object.values(services ?? {}), ...(routes ?? [])].flatMap(({ auth }) =>
    typeof auth === 'object' && auth !== null ? namesOf(auth) : [],
  );
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

function namesOf({ apiKey, tickets, jwt, introspect }: Auth): string[] {
  const sources = [...(jwt?.from ?? []), ...(introspect?.from ?? [])];
  return [
    apiKey?.header ?? '',
    apiKey?.query ?? '',
    typeof tickets === 'object' ? tickets.parameter : '',
    ...sources.map((source) => (typeof source === 'string' ? '' : (source.header ?? ''))),
  ].filter((name) => name !== '');
}
