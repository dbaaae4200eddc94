export function compileRewrite(a:any,b:any){return (p:string,m:any)=> a.stripPrefix && p.startsWith(a.stripPrefix) ? p.slice(a.stripPrefix.length)||'/' : p}
