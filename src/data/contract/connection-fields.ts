/**
 * What a route may ask of the connection, as names of fields: with a colon in front, which no field of a client has
 * (RFC 9110 §5.1), so that conditions, their order and their explanation are those of header fields.
 */

/** `http` or `https`, as the caller used it. */
export const SCHEME_FIELD = ':scheme';
/** Name of the listener that took the connection. */
export const LISTENER_FIELD = ':listener';
