export function compileSplit(a:any,b:any){return (c:any)=>0}
