export function versionLines(a:any){return ''}
