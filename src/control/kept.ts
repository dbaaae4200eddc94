/**
 * What is made of a part of the configuration, kept while that part is the very same object. A change of instances
 * leaves routes, services that did not change, and secrets as they are (config/compile-instances.ts), so that what
 * features read from 10,000 routes is not read again for one instance.
 */
export function kept<Of extends object, Result>(read: (of: Of) => Result): (of: Of) => Result {
  let last: { readonly of: Of; readonly result: Result } | undefined;
  return (of) => {
    if (last?.of !== of) last = { of, result: read(of) };
    return last.result;
  };
}
